"""Runs that could be made next: given or by default, what they cost, and which are within a budget."""

from __future__ import annotations

from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .costs import Cost, check_cost
from .result import Fit
from .table import LossTable

Floats = NDArray[np.float64]

PER_DECADE = 8  # default candidates, of params and of tokens per parameter
BEYOND = 10.0  # times the largest count of the runs, that default candidates reach
EDGE = 0.05  # share of the runs on each side that default candidates do not go beyond: laws fail at the edges first
NARROW = 2.0  # range of tokens per parameter, of all but the edges, under which default candidates go beyond it
ROUNDING = 1e-9  # relative, by which a cost may exceed the budget


def affordable(
    fit: Fit, candidates: pd.DataFrame | LossTable | None, cost: Cost, budget: float | None
) -> tuple[float, pd.DataFrame, tuple[str, ...]]:
    """Budget, candidates within it with their flops, and what was left out.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.flops import six_nd
    >>> design = sf.grid(params=np.geomspace(1e8, 1e9, 5), tokens=np.geomspace(2e9, 2e10, 5))
    >>> fit = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design))
    >>> limit, frame, notes = affordable(fit, sf.grid(params=[1e9, 1e10], tokens=[1e10]), six_nd, None)
    >>> limit, frame["flops"].tolist()
    (1.2e+20, [6e+19])
    >>> notes
    ('1 of 2 candidates are left out: they cost more than 1.2e+20 FLOPs',)
    """
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, Real) or not 0 < budget < np.inf):
        raise ValueError(f"budget must be FLOPs, positive and finite, such as 1e21, not {budget!r}.")
    if candidates is None:
        spent = _costs(fit.table.to_frame(), fit.inputs, cost)
        frame, notes = _default(fit, spent, cost)
    else:
        notes = ()
        if not isinstance(candidates, pd.DataFrame | LossTable):
            raise TypeError(f"candidates must be a DataFrame or a LossTable, not {type(candidates).__name__}.")
        frame = _given(candidates if isinstance(candidates, pd.DataFrame) else candidates.to_frame(), fit.inputs, cost)
        spent = _costs(fit.table.to_frame(), fit.inputs, cost) if budget is None else np.empty(0)
    limit = float(spent.max()) if budget is None else float(budget)
    within = frame["flops"].to_numpy() <= limit * (1 + ROUNDING)
    if not within.any():
        raise ValueError(
            f"none of {len(frame)} candidates is within the budget of {limit:.4g} FLOPs; the cheapest costs "
            f"{frame['flops'].min():.4g}. Raise budget=, or give candidates that cost less."
        )
    left = f"{int((~within).sum())} of {len(frame)} candidates are left out: they cost more than {limit:.4g} FLOPs"
    notes = (left,) if candidates is not None and not within.all() else notes
    return limit, frame[within].reset_index(drop=True), notes


def _costs(frame: pd.DataFrame, inputs: tuple[str, ...], cost: Cost) -> Floats:
    """(n,) FLOPs of runs: their own where the law takes them, else by the cost, else their own."""
    if "flops" not in inputs and {"params", "tokens"} <= set(frame):
        N, D = frame["params"].to_numpy(float), frame["tokens"].to_numpy(float)
        check_cost(cost, N, D)
        return np.asarray(cost(N, D), dtype=float)
    if "flops" in frame:
        return frame["flops"].to_numpy(float)
    raise ValueError(
        f"what runs cost is not known from {', '.join(map(str, frame.columns))}: it takes params and tokens, or flops. "
        "Give candidates that have them, and budget=."
    )


def _given(frame: pd.DataFrame, inputs: tuple[str, ...], cost: Cost) -> pd.DataFrame:
    """Candidates with the columns that matter, checked."""
    missing = [name for name in inputs if name not in frame]
    if missing or not len(frame):
        what = f"no column {', '.join(missing)}" if missing else "no rows"
        raise ValueError(f"the candidates have {what}; the law takes {', '.join(inputs)}.")
    kept = list(dict.fromkeys([*inputs, *(name for name in ("params", "tokens", "flops") if name in frame)]))
    try:
        frame = frame[kept].astype(float).drop_duplicates(ignore_index=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the candidates must be numbers in {', '.join(kept)}: {error}.") from None
    for name in kept:
        bad = frame[name][~(np.isfinite(frame[name]) & (frame[name] > 0))]
        if len(bad):
            raise ValueError(
                f"{name} of candidates must be positive and finite, but is {bad.iloc[0]} ({len(bad)} such rows)."
            )
    return frame.assign(flops=_costs(frame, inputs, cost))


def _default(fit: Fit, spent: Floats, cost: Cost) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Candidates around and beyond the runs, where a law that holds for the runs may be expected to hold."""
    if fit.inputs == ("flops",):
        return pd.DataFrame({"flops": _steps(spent.min(), BEYOND * spent.max())}), ()
    if set(fit.inputs) != {"params", "tokens"}:
        names = ", ".join(fit.inputs)
        raise ValueError(
            f"a fit of {names} needs candidates: a frame with {names} and what the cost takes (params and tokens, or "
            "flops)."
        )
    params, tokens = fit.table["params"], fit.table["tokens"]
    usual, notes = np.quantile(tokens / params, [EDGE, 1 - EDGE]), tuple[str, ...]()
    if usual[1] < NARROW * usual[0]:  # on one line no run tells the two terms apart
        notes = (
            f"the runs keep to {usual[0]:.3g} to {usual[1]:.3g} tokens per parameter, so candidates go to half and to "
            "twice as many",
        )
        usual = usual * [0.5, 2.0]
    least, fewest = np.quantile(params, EDGE), np.quantile(tokens, EDGE)
    N, ratio = np.meshgrid(_steps(least, BEYOND * params.max()), _steps(*usual), indexing="ij")
    frame = pd.DataFrame({"params": N.ravel(), "tokens": (N * ratio).ravel()})
    frame = frame[frame["tokens"].between(fewest * (1 - ROUNDING), BEYOND * tokens.max() * (1 + ROUNDING))]
    frame["flops"] = _costs(frame, fit.inputs, cost)
    return frame.reset_index(drop=True), notes


def _steps(low: float, high: float) -> Floats:
    """From low to high, about eight a decade."""
    return np.geomspace(low, high, 1 + int(np.ceil(PER_DECADE * np.log10(max(high / low, 1.0)))))
