"""Frontier: the best model at each budget, however it was found, and the laws that it follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .bracketing import lacking, rising, window_of
from .exponents import SYMBOLS, Exponents, over_windows, power_of, regressions
from .intervals import MOST_FAILED, Interval, Method
from .latex import latex_of
from .markup import html_of
from .optima import QUANTITIES, Draws, Optima, Quantity
from .parts import Trace
from .sheets import Cell, Number, Sheet, Symbol, visible

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, repr=False, eq=False)
class Frontier:
    """The best model at each budget: its parameters, tokens and loss.

    Attributes
    ----------
    flops : (m,) array, FLOPs
        Budgets.
    params, tokens : (m,) array, count
        Of the model with the lowest loss, nan where there is none.
    loss : (m,) array, nats per token
    at_edge : (m,) array of bool
        The optimum is not bracketed: the loss still falls where the runs, or the search, end.
    source : str
        How it was found.
    notes : tuple of str
        What a reader should know.
    doubts : tuple of str
        What is wrong with the fit that the frontier is read off.
    sd : (m,) array, optional
        Standard deviation of log params; `exponents` weighs by its inverse square.
    reach : (m,) array, optional
        Decades of params or tokens beyond the runs; 0 among them.
    apart : float, optional
        Largest difference of log params between a search over params and one over tokens (both routes of Eq. 5).
    draws : Draws, optional
        Of a bootstrap.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> best = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), flops=[1e20, 1e21])
    >>> best.params.round(-6).tolist()
    [645000000.0, 1824000000.0]
    >>> round(best.exponents().a, 4)
    0.4516
    """

    flops: Floats
    params: Floats
    tokens: Floats
    loss: Floats
    at_edge: Bools
    source: str
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    sd: Floats | None = None
    reach: Floats | None = None
    apart: float | None = None
    draws: Draws | None = None

    def __len__(self) -> int:
        return len(self.flops)

    @property
    def tokens_per_param(self) -> Floats:
        """(m,) tokens per parameter at the optimum."""
        return np.asarray(self.tokens / self.params)

    @property
    def optima(self) -> Optima:
        """The frontier as one row of optima."""
        return Optima(self.params[None], self.tokens[None], self.loss[None], self.at_edge[None])

    @property
    def bracketed(self) -> Bools:
        """(m,) budgets with an optimum that is not at an edge."""
        return np.asarray(self.optima.bracketed[0])

    @property
    def settled(self) -> Bools:
        """(m,) budgets at which at most a tenth of the refits has no bracketed optimum; all without a bootstrap."""
        if self.draws is None:
            return np.ones(len(self), dtype=bool)
        return np.asarray(np.mean(~self.draws.optima.bracketed, axis=0) <= MOST_FAILED)

    @property
    def ok(self) -> bool:
        """Whether every budget has an optimum that is not at an edge, the loss falls, and the fit is ok."""
        return bool(self.bracketed.all()) and not self.doubts and not self.rises

    @property
    def rises(self) -> tuple[str, ...]:
        """Says where the lowest loss rises with the budget, although more compute need not be used badly."""
        return rising(self.flops, self.loss, self.bracketed)

    def interval(
        self, quantity: Quantity, index: int = 0, level: float = 0.95, *, method: Method | None = None
    ) -> Interval:
        """Interval of a quantity at one budget, refused at an edge; of counts it is found in logarithms.

        Parameters
        ----------
        quantity : {"params", "tokens", "loss", "tokens_per_param"}
        index : int
            Which budget.
        level : float
            Nominal coverage.
        method : {"percentile_t", "bca", "percentile", "basic"}, optional
            The scheme's own if None.

        Raises
        ------
        ValueError
            If the frontier was not made from a `Bootstrap`.

        Examples
        --------
        >>> import scalefit as sf
        >>> design = sf.grid(params=[1e8, 3e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11])
        >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.002)
        >>> best = sf.compute_optimal(sf.bootstrap(sf.fit(sf.Chinchilla, runs), resamples=200), flops=[1e21])
        >>> interval = best.interval("tokens_per_param")
        >>> interval.low < interval.estimate < interval.high
        True
        """
        draws = self._needed_draws()
        place = range(len(self))[index]
        name = f"{quantity} at {self.flops[place]:.4g} FLOPs"
        reach = 0.0 if self.reach is None else float(self.reach[place])

        def of(optima: Optima) -> Floats:
            values = np.where(optima.bracketed, optima.get(quantity), np.nan)[:, place]
            return values if quantity == "loss" else np.asarray(np.log(values))

        found = draws.bootstrap.interval_of_draws(
            name, float(of(self.optima)[0]), of(draws.optima), level, method=method,
            jackknife=lambda: of(draws.jackknife()),
            trace=Trace(reach=reach, reads_law=True, missing="the optimum is not bracketed by the runs"),
        )  # fmt: skip
        return found if quantity == "loss" else found.exponential()

    def to_frame(self, level: float = 0.95, *, method: Method | None = None) -> pd.DataFrame:
        """A row per budget: the optimum, its interval where there is a bootstrap, and whether it is bracketed."""
        frame = pd.DataFrame({"flops": self.flops})
        for quantity in QUANTITIES:
            frame[quantity] = getattr(self, quantity)
            if self.draws is not None:
                found = [self.interval(quantity, i, level, method=method) for i in range(len(self))]
                frame[f"{quantity}_low"] = [interval.low for interval in found]
                frame[f"{quantity}_high"] = [interval.high for interval in found]
        return frame.assign(at_edge=self.at_edge, reach=np.zeros(len(self)) if self.reach is None else self.reach)

    def exponents(
        self, window: tuple[float, float] | None = None, level: float = 0.95, *, method: Method | None = None
    ) -> Exponents:
        """Exponents of params ~ C^a, tokens ~ C^b and loss = E + A C^-gamma along the frontier (Eq. 7 of [1]_).

        Parameters
        ----------
        window : (float, float), optional
            Budgets that count, in FLOPs; all by default. Budgets without a bracketed optimum never count, nor those
        that have none in over a tenth of the refits: else the refits would speak of other budgets than the estimate.
        level : float
            Of the intervals, where the frontier comes from a bootstrap.
        method : {"percentile_t", "bca", "percentile", "basic"}, optional

        Returns
        -------
        Exponents
            With intervals of the whole pipeline, and with the exponents over other windows.

        Raises
        ------
        ValueError
            If fewer than two budgets are left.

        References
        ----------
        .. [1] arXiv:2601.10684; the regressions are those of its appendix B.4.

        Examples
        --------
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
        >>> found = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), flops=[1e18, 1e19, 1e20, 1e21]).exponents()
        >>> round(found.a, 4), round(found.b, 4), round(found.gamma, 4)
        (0.4516, 0.5484, 0.1535)
        """
        low, high = window_of(window, self.flops)
        within = (self.flops >= low) & (self.flops <= high)
        used = self.counted((low, high))
        if len(np.unique(self.flops[used])) < 2:
            raise ValueError(
                f"exponents need two budgets with a bracketed optimum, and {int(used.sum())} of {int(within.sum())} "
                f"between {low:.3g} and {high:.3g} FLOPs have one"
                f"{', in nine tenths of the refits too' if self.draws is not None else ''}. Ask for budgets within the "
                "runs."
            )
        law = power_of(self.flops[used], self.loss[used])
        base = regressions(self.flops, self.optima, used, self._weights)
        numbers = {name: float(value[0]) for name, value in base.items()}
        of_loss = {"E": np.nan, "A": np.nan, "alpha": np.nan} if law is None else law.parameters
        numbers |= {"gamma": of_loss["alpha"], "E": of_loss["E"], "A": of_loss["A"]}
        intervals = self._exponent_intervals(numbers, used, level, method)
        return Exponents(
            **numbers, intervals=intervals, budgets=int(used.sum()), window=(float(low), float(high)),
            windows=over_windows(self.flops, self.optima, used, self._weights), notes=() if law is None else law.notes,
            left_out=int(np.sum(within & self.bracketed & ~self.settled)),
        )  # fmt: skip

    def counted(self, window: tuple[float, float]) -> Bools:
        """(m,) budgets within a window that exponents are of."""
        low, high = window
        return np.asarray((self.flops >= low) & (self.flops <= high) & self.settled & self.bracketed)

    def lines(self, optima: Optima, used: Bools) -> dict[str, Any]:
        """Lines of R rows of optima over the budgets used, and, from four budgets on, the `Refits` of their losses.

        Returns
        -------
        dict
            "a", "b", "log_params", "log_tokens" as (R,) arrays, and "law".
        """
        found: dict[str, Any] = dict(regressions(self.flops, optima, used, self._weights))
        law = power_of(self.flops[used], self.loss[used])
        if law is not None:
            shares = optima.bracketed[:, used].astype(float)
            losses = np.where(shares > 0, optima.loss[:, used], self.loss[used])
            found["law"] = law.model.refits(self.flops[used][:, None], losses, shares)
        return found

    @property
    def _weights(self) -> Floats | None:
        return None if self.sd is None else 1 / self.sd**2

    def _exponent_intervals(
        self, numbers: dict[str, float], used: Bools, level: float, method: Method | None
    ) -> dict[str, Interval]:  # fmt: skip
        if self.draws is None:
            return {}
        draws = self.draws

        def of(optima: Optima) -> dict[str, Floats]:
            found = self.lines(optima, used)
            if "law" in found:
                found |= {"gamma": found["law"].parameters["alpha"], "E": found["law"].parameters["E"]}
            return {name: found[name] for name in SYMBOLS if name in found}

        made = of(draws.optima)
        left: dict[str, Floats] = {}
        how = draws.bootstrap.scheme.method if method is None else method
        if how == "bca":
            left = of(draws.jackknife())
        reach = 0.0 if self.reach is None else float(np.max(self.reach[used]))
        return {
            name: draws.bootstrap.interval_of_draws(
                name, numbers[name], values, level, method=method, jackknife=partial(left.__getitem__, name),
                trace=Trace(reach=reach, reads_law=True),
            )
            for name, values in made.items()
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Budgets, optima and notes as plain values; nan is None."""
        records: list[dict[Any, Any]] = self.to_frame().to_dict(orient="records")
        rows = [{str(name): _plain(value) for name, value in row.items()} for row in records]
        return {
            "ok": self.ok,
            "source": self.source,
            "notes": list(self.notes),
            "doubts": [*self.doubts, *self.rises],
            "apart": self.apart,
            "budgets": rows,
        }

    def to_latex(self, level: float = 0.95, *, method: Method | None = None) -> str:
        """A row per budget, with its intervals where there is a bootstrap, as a LaTeX `tabular` with booktabs rules."""
        found = {} if self.draws is None else self.draws.bootstrap.protocol
        return latex_of(self._sheet(level, method), {"source": self.source, "level": level, **found})

    def _repr_html_(self) -> str:
        return html_of(self._sheet())

    def __repr__(self) -> str:
        wrong = self._wrong
        lines = [f"NOT OK  {sentence}" for sentence in wrong]
        lines.append(f"{'      ' if wrong else 'ok    '}{self.source}")
        lines += [f"note  {note}" for note in self.notes]
        numbers: dict[str, Floats] = {name: getattr(self, name) for name in QUANTITIES}
        frame = pd.DataFrame({"flops": self.flops, **numbers}).assign(bracketed=self._words)
        lines.append(frame.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        return visible("\n".join(lines))

    def _sheet(self, level: float = 0.95, method: Method | None = None) -> Sheet:
        def cells(quantity: Quantity, place: int) -> tuple[Cell, ...]:
            value = float(getattr(self, quantity)[place])
            if self.draws is None:
                return (Number(value),)
            found = self.interval(quantity, place, level, method=method)
            return Number(value, error=found.standard_error), found.cells[2]

        ends = () if self.draws is None else (f"{100 * level:g} %",)
        rows: list[tuple[Cell, ...]] = [
            (Number(float(self.flops[i])), *(cell for q in QUANTITIES for cell in cells(q, i)), str(self._words[i]))
            for i in range(len(self))
        ]
        return Sheet(
            "NOT OK" if self._wrong else "ok", self._wrong, self.source,
            (Symbol("flops"), *(head for q in QUANTITIES for head in (Symbol(q), *ends)), "bracketed"), tuple(rows),
            notes=self.notes, mark="the fit is not ok" if self.doubts else "",
        )  # fmt: skip

    @property
    def _wrong(self) -> tuple[str, ...]:
        return (*self.doubts, *self.rises, *lacking(self.params, self.bracketed, self.at_edge))

    @property
    def _words(self) -> NDArray[np.str_]:
        """(m,) whether each optimum is bracketed."""
        return np.where(self.bracketed, "yes", np.where(self.at_edge, "at edge", "none"))

    def _needed_draws(self) -> Draws:
        if self.draws is None:
            raise ValueError("this frontier has no draws: make it from sf.bootstrap(fit) instead of the fit.")
        return self.draws


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
