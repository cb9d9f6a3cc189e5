"""Exponents of a frontier: how params, tokens and loss go with the budget, and how far the window moves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .fitting import fit
from .intervals import Interval, frame_of, verdict_of
from .latex import latex_of
from .laws import PowerLaw
from .markup import html_of
from .result import Fit
from .sheets import Cell, Number, Sheet, Symbol
from .table import LossTable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_BUDGETS = 4  # a power law with offset has three parameters
UNMOVED = 5e-5  # of a, which is shown with four digits
#: Windows over which exponents are shown beside those of all budgets, as shares of the range of log budgets.
WINDOWS = ((0.0, 1.0), (0.0, 2 / 3), (0.0, 0.5), (1 / 3, 1.0), (0.5, 1.0))
SYMBOLS = {"a": "params ~ C^a", "b": "tokens ~ C^b", "gamma": "loss = E + A C^-gamma", "E": "limit of the loss"}
_FORMULAS = {"a": r"N \propto C^{a}", "b": r"D \propto C^{b}", "gamma": r"L = E + A\,C^{-\gamma}"}  # in a paper


class HasOptima(Protocol):
    """Optima of R fits at m budgets."""

    @property
    def loss(self) -> Floats:
        """(R, m) losses, nats per token."""

    @property
    def params(self) -> Floats:
        """(R, m) parameters."""

    @property
    def tokens(self) -> Floats:
        """(R, m) tokens."""

    @property
    def bracketed(self) -> Bools:
        """(R, m) which of them count."""


@dataclass(frozen=True, repr=False, eq=False)
class Exponents:
    """Laws of a frontier: params = G_N C^a, tokens = G_D C^b, loss = E + A C^-gamma.

    The first two are straight lines in logarithms by (weighted) least squares, the third a power law with offset.

    Attributes
    ----------
    a, b, gamma : float
        Exponents of params, tokens and loss above E; gamma is nan for fewer than four budgets.
    log_params, log_tokens : float
        Natural logarithms of G_N and G_D: the lines at one FLOP.
    E, A : float
        Limit of the loss, nats per token, and the amplitude at one FLOP.
    intervals : mapping of str to Interval
        Of a, b, gamma and E by the bootstrap that the frontier was made from; empty without one.
    budgets : int
        How many counted.
    window : (float, float), FLOPs
    windows : DataFrame
        Exponents over other windows of the same budgets.
    notes : tuple of str
        What is wrong with the fit of the loss.
    left_out : int
        Budgets of the window whose optimum is not bracketed in over a tenth of the refits.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> found = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), flops=[1e18, 1e19, 1e20, 1e21]).exponents()
    >>> round(found.params(1e20) / 1e9, 3)
    0.645
    """

    a: float
    b: float
    gamma: float
    log_params: float
    log_tokens: float
    E: float
    A: float
    intervals: Mapping[str, Interval]
    budgets: int
    window: tuple[float, float]
    windows: pd.DataFrame
    notes: tuple[str, ...] = ()
    left_out: int = 0

    def params(self, flops: ArrayLike) -> Any:
        """Parameters that the line gives for a budget, which it extrapolates without a word."""
        return _plain(np.exp(self.log_params + self.a * np.log(np.asarray(flops, dtype=float))))

    def tokens(self, flops: ArrayLike) -> Any:
        """Tokens that the line gives for a budget."""
        return _plain(np.exp(self.log_tokens + self.b * np.log(np.asarray(flops, dtype=float))))

    def loss(self, flops: ArrayLike) -> Any:
        """Loss that the law gives for a budget, nats per token."""
        return PowerLaw(self.E, self.A, self.gamma)(flops)

    @property
    def moved(self) -> float:
        """How far other windows move a: the largest difference from the value over all budgets."""
        return float(np.max(np.abs(self.windows["a"] - self.a))) if len(self.windows) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Numbers, intervals and windows as plain values."""
        numbers = {name: _finite(getattr(self, name)) for name in ("a", "b", "gamma", "E", "A")}
        lines = {"log_params": self.log_params, "log_tokens": self.log_tokens}
        rows = self.windows.to_dict(orient="records")
        return {
            **numbers, **lines, "budgets": self.budgets, "left_out": self.left_out, "window": list(self.window),
            "moved": self.moved,
            "windows": [{str(k): int(v) if k == "budgets" else _finite(v) for k, v in row.items()} for row in rows],
            "intervals": {name: interval.to_dict() for name, interval in self.intervals.items()},
            "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """A row per exponent, and one for E; with their intervals, where there are any."""
        if self.intervals:
            return frame_of(list(self.intervals.values()))
        return pd.DataFrame({"statistic": self._known, "estimate": [getattr(self, name) for name in self._known]})

    def to_latex(self) -> str:
        """The exponents and their intervals as a LaTeX `tabular` with booktabs rules."""
        return latex_of(self._sheet(), {"budgets": self.budgets, "window": list(self.window), "moved": self.moved})

    def _repr_html_(self) -> str:
        return html_of(self._sheet())

    def _sheet(self) -> Sheet:
        intervals = list(self.intervals.values())
        heads = [f"{100 * interval.level:g} % interval" for interval in intervals][:1]
        return Sheet(
            "NOT OK" if self.notes else verdict_of(intervals),
            tuple(f"the law of the loss: {note}" for note in self.notes), self._title, ("", "estimate", *heads, ""),
            tuple((Symbol(name), *self._cells(name), _meaning(name)) for name in self._known), notes=self._left_out,
            footer=(*self._doubts, *self._moves), mark="the law of the loss is not ok" if self.notes else "",
        )  # fmt: skip

    def _cells(self, name: str) -> tuple[Cell, ...]:
        return self.intervals[name].cells[::2] if self.intervals else (Number(getattr(self, name)),)

    @property
    def _known(self) -> list[str]:
        """Exponents that there are: few budgets have no law of the loss."""
        return [name for name in SYMBOLS if np.isfinite(getattr(self, name))]

    @property
    def _title(self) -> str:
        return "{} budgets from {:.3g} to {:.3g} FLOPs".format(self.budgets, *self.window)

    @property
    def _left_out(self) -> tuple[str, ...]:
        sentence = f"{self.left_out} more are not bracketed in over a tenth of the refits, and left out"
        return (sentence,) if self.left_out else ()

    @property
    def _doubts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(note for interval in self.intervals.values() for note in interval.notes))

    @property
    def _moves(self) -> tuple[str, ...]:
        """Says how far other windows move a."""
        if len(self.windows) <= 1:
            return ()
        if self.moved < UNMOVED:
            return ("other windows of these budgets do not move a",)
        beside = ""
        if "a" in self.intervals and not self.intervals["a"].refused:
            low, high = self.intervals["a"]
            beside = f", {self.moved / max((high - low) / 2, 1e-300):.1f} times half its interval"
        least, most = self.windows["a"].min(), self.windows["a"].max()
        return (f"other windows move a by up to {self.moved:.3f}{beside}: {least:.4f} to {most:.4f}",)

    def __repr__(self) -> str:
        lines = [self._title, *(f"note  {note}" for note in self._left_out)]
        lines += [f"NOT OK  the law of the loss: {note}" for note in self.notes]
        for name in self._known:
            interval = self.intervals.get(name)
            ends = "" if interval is None else f"  {ends_of(interval)}"
            lines.append(f"  {name:<5}  {getattr(self, name):.4f}{ends}  {SYMBOLS[name]}")
        return "\n".join([*lines, *self._doubts, *self._moves])


def _meaning(name: str) -> Symbol:
    return Symbol(SYMBOLS[name], _FORMULAS.get(name, ""))


def ends_of(interval: Interval) -> str:
    """Ends of an interval in words.

    Examples
    --------
    >>> ends_of(Interval("a", 0.5, 0.45, 0.54, 0.02, 0.95, "percentile_t", ()))
    '95 % 0.45 to 0.54'
    """
    share = f"{100 * interval.level:g} %"
    return f"{share} refused" if interval.refused else f"{share} {interval.low:.4g} to {interval.high:.4g}"


def regressions(flops: Floats, optima: HasOptima, inside: Bools, weights: Floats | None) -> dict[str, Floats]:
    """Lines of log params and log tokens on log flops, for R rows of optima at once.

    Parameters
    ----------
    flops : (m,) array
    optima : Optima
        Of R fits; budgets without a bracketed optimum do not count.
    inside : (m,) array of bool
        Budgets within the window.
    weights : (m,) array, optional

    Returns
    -------
    dict of str to (R,) array
        "a", "b", "log_params", "log_tokens"; nan where fewer than two budgets count.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> C = np.array([1e18, 1e20])
    >>> good = np.array([[True, True]])
    >>> on_lines = SimpleNamespace(params=C[None] ** 0.5, tokens=C[None] ** 0.5 / 6, bracketed=good)
    >>> regressions(C, on_lines, np.array([True, True]), None)["a"].round(9).tolist()
    [0.5]
    """
    used = optima.bracketed & inside
    shares = used * (1.0 if weights is None else np.where(used, weights, 0.0))
    x = np.log(flops)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = shares.sum(axis=1)
        middle = (shares * x).sum(axis=1) / total
        moved = x - middle[:, None]
        spread = (shares * moved**2).sum(axis=1)
        enough = (used.sum(axis=1) >= 2) & (spread > 0)
        found: dict[str, Floats] = {}
        for slope, name, values in (("a", "params", optima.params), ("b", "tokens", optima.tokens)):
            y = np.where(used, np.log(np.where(used, values, 1.0)), 0.0)
            found[slope] = np.where(enough, (shares * moved * y).sum(axis=1) / spread, np.nan)
            found[f"log_{name}"] = (shares * y).sum(axis=1) / total - found[slope] * middle
    return found


def over_windows(flops: Floats, optima: HasOptima, used: Bools, weights: Floats | None) -> pd.DataFrame:
    """Exponents of one row of optima over the lower and upper half and two thirds of the budgets, in logarithms.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> C = np.geomspace(1e18, 1e21, 7)
    >>> best = SimpleNamespace(params=C[None] ** 0.5, tokens=C[None] ** 0.5 / 6, loss=1.7 + C[None] ** -0.05)
    >>> best.bracketed = np.ones((1, 7), dtype=bool)
    >>> over_windows(C, best, best.bracketed[0], None)[["budgets", "a"]].round(6).to_numpy().tolist()
    [[7.0, 0.5], [5.0, 0.5], [4.0, 0.5], [5.0, 0.5], [4.0, 0.5]]
    """
    logs, rows, seen = np.log(flops), [], list[Bools]()
    low, high = logs[used].min(), logs[used].max()
    for start, end in WINDOWS:
        inside = used & (logs >= low + start * (high - low) - 1e-9) & (logs <= low + end * (high - low) + 1e-9)
        if inside.sum() < 2 or any(np.array_equal(inside, other) for other in seen):
            continue
        seen.append(inside)
        found = regressions(flops, optima, inside, weights)
        law = power_of(flops[inside], optima.loss[0, inside])
        rows.append({
            "low": flops[inside].min(), "high": flops[inside].max(), "budgets": int(inside.sum()),
            "a": float(found["a"][0]), "b": float(found["b"][0]),
            "gamma": float("nan") if law is None else law.parameters["alpha"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def power_of(flops: Floats, loss: Floats) -> Fit | None:
    """Power law with offset of the loss against the budget; None for fewer than four budgets.

    Examples
    --------
    >>> C = np.geomspace(1e18, 1e22, 6)
    >>> round(power_of(C, 1.7 + 900 * C**-0.15).law.alpha, 6)
    0.15
    """
    if len(np.unique(flops)) < LEAST_BUDGETS:
        return None
    frame = pd.DataFrame({"flops": flops, "loss": loss})
    return fit(PowerLaw, LossTable.from_frame(frame), inputs="flops")


def _plain(values: Any) -> Any:
    return values if np.ndim(values) else float(values)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
