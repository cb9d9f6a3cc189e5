"""Rows of what theories predict, beside what counts or trains: the numbers of the commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .fitting import fit
from .laws import PowerLaw
from .parametric import LawRegressor
from .theory.baseline import CountingBaseline, Losses
from .theory.counting import SMOOTHING, counted_losses
from .theory.guards import positive_array
from .theory.model_scaling import break_rank
from .theory.percolation import DataScaling, ModelScaling, local_exponent
from .theory.regimes import Regime

if TYPE_CHECKING:
    from .result import Fit
    from .table import LossTable

SIZES = (1e3, 1e6, 1e9)  # where exponents are read off; our choice
DECADES = 3  # of tokens above c, a row each


def counted_rows(
    baseline: CountingBaseline, adjacency: Any, tokens: Sequence[float] | None, *,
    models: int | None, loss: Losses, smoothing: float | None, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Loss of counting at some tokens, and what models that counted so many transitions have.

    Examples
    --------
    >>> counted_rows(
    ...     CountingBaseline(2.0, 50.0), None, None, models=None, loss="cross_entropy", smoothing=None, seed=0
    ... ).values.tolist()
    [[100.0, 2.5], [1000.0, 2.05], [10000.0, 2.005]]
    """
    least = np.ceil(np.log10(max(baseline.coefficient, 1.0)))
    D = positive_array("tokens", 10.0 ** (least + np.arange(DECADES)) if tokens is None else tokens, whole=True)
    rows = pd.DataFrame({"tokens": D, "predicted": baseline(D)})
    if models is None:
        return rows
    added = SMOOTHING if smoothing is None else smoothing
    losses = [counted_losses(adjacency, int(n), models=models, smoothing=added, loss=loss, seed=seed) for n in D]
    missed, places = sum(int(np.isinf(each).sum()) for each in losses), len(D) * models
    if missed:
        raise ValueError(
            f"{missed} of {places} models missed a transition that is possible, and without smoothing their loss is "
            "infinite. Give --smoothing above 0, or more --tokens."
        )
    return _with_ratio(
        rows.assign(
            loss=[float(np.mean(each)) for each in losses],
            se=[float(np.std(each, ddof=1) / np.sqrt(models)) for each in losses],
        ),
        baseline,
    )


def measured_rows(baseline: CountingBaseline, runs: LossTable) -> pd.DataFrame:
    """Lowest loss of the runs at each number of tokens, beside that of counting as many.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.LossTable.from_frame(pd.DataFrame({"tokens": [1e3, 1e3, 1e4], "loss": [2.4, 2.2, 2.01]}))
    >>> measured_rows(CountingBaseline(2.0, 100.0), runs).round(3).values.tolist()
    [[1000.0, 2.1, 2.2, 2.0], [10000.0, 2.01, 2.01, 1.0]]
    """
    lowest = pd.DataFrame({"tokens": runs["tokens"], "loss": runs.loss}).groupby("tokens")["loss"].min()
    D = lowest.index.to_numpy(dtype=float)
    return _with_ratio(
        pd.DataFrame({"tokens": D, "predicted": baseline(D), "loss": lowest.to_numpy(dtype=float)}), baseline
    )


def power_law(runs: LossTable, column: str = "tokens") -> Fit:
    """Free power law of one column, which theories are laid beside.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(power_law(sf.load("pythia").where("kept"), "params").law.alpha, 3)
    0.149
    """
    return fit(PowerLaw, runs, inputs=column)


def _with_ratio(rows: pd.DataFrame, baseline: CountingBaseline) -> pd.DataFrame:
    """Excess over the floor, over that of counting; none where there is nothing to count."""
    predicted = rows["predicted"] - baseline.entropy
    return rows.assign(ratio=((rows["loss"] - baseline.entropy) / predicted).where(predicted > 0))


def local_rows(
    alpha: float, manifold: float, sizes: Sequence[float] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Losses and local exponents of percolation theory: over degrees of freedom, and over samples.

    Examples
    --------
    >>> model, data = local_rows(1.0, 0.5, [1e6])
    >>> model.round(4).values.tolist(), data.round(4).values.tolist()
    ([[1000000.0, 6810.6905, 0.0065, 0.4888]], [[1000000.0, 0.0079, 0.4368]])
    """
    x = positive_array("sizes", SIZES if sizes is None else sizes)
    model, data = ModelScaling(alpha, manifold), DataScaling(alpha, manifold)
    return (
        pd.DataFrame({
            "params": x, "clusters": break_rank(x, alpha=alpha, manifold=manifold), "loss": model(x),
            "exponent": local_exponent(model, x),
        }),
        pd.DataFrame({"tokens": x, "loss": data(x), "exponent": local_exponent(data, x)}),
    )  # fmt: skip


def theory_fits(
    runs: LossTable, column: str, *,
    found: Regime, alpha: float, manifold: float, held: Mapping[str, float] | None = None,
) -> tuple[Fit, Fit]:  # fmt: skip
    """Fit of E and A of percolation theory, its exponents held, and of a power law with a free one; `held` in both.

    Raises
    ------
    ValueError
        If the column is neither params nor tokens, or the runs cannot be fitted.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.theory.regimes import regime
    >>> runs = sf.load("pythia").where("kept")
    >>> theory, free = theory_fits(runs, "params", found=regime(0.1, p_c=0.1, c=1), alpha=1.0, manifold=0.25)
    >>> theory.law.exponent, round(free.law.alpha, 3)
    (0.25, 0.149)
    """
    laws = {"params": (ModelScaling, found.model_exponent), "tokens": (DataScaling, found.data_exponent)}
    if column not in laws:
        raise ValueError(f"the theory is of params or of tokens, not of {column}. Say inputs='params'.")
    law, exponent = laws[column]
    kept = dict(held or {})
    if found.name == "supercritical":
        theory = LawRegressor(PowerLaw, fixed={**kept, "alpha": exponent})
    else:
        theory = LawRegressor(law, fixed={**kept, "alpha": alpha, "manifold": manifold, "unit": 1.0})
    return fit(theory, runs, inputs=column), fit(LawRegressor(PowerLaw, fixed=kept), runs, inputs=column)
