"""Windows: how far the choice of rows moves a statistic, against its interval and against noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .asked import NAN, Answer
from .cutting import FROM, UP_TO
from .sheets import visible

MOST_LINES = 30  # of windows that are printed


@dataclass(frozen=True, repr=False, eq=False)
class Windows:
    """Statistics of a fit over windows of its rows; `windows["alpha"]` is those of one statistic alone.

    Attributes
    ----------
    over : {"flops", "tokens", "params", "rank"}
    column : str
        Whose values the ends of the windows are; of "rank", the column that the rows are ranked by.
    rows : int
        Of the table.
    level : float
        Of the intervals, and the share of resamples in which noise moves a window less than its `by_noise`.
    base : mapping of str to Answer
        Each statistic over all rows.
    cells : DataFrame
        A row per statistic and window, as `to_frame` gives them.
    chances : mapping of str to float
        Share of the resamples in which noise alone moves some window as far beyond its `by_noise` as the runs do, or
        further. Empty without a bootstrap.
    resamples : int
        That the chances are of; 0 without a bootstrap.
    doubt : str
        What is wrong with the fit to all rows; empty if nothing is.

    Notes
    -----
    A window counts if the statistic has a value there and its fit is ok, or the fit to all rows is not ok either.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.windowing import windows
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=np.geomspace(1e9, 1e11, 8))
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.003)
    >>> found = windows(sf.fit(sf.Chinchilla, runs), statistic=["alpha", "beta"])
    >>> found.statistics, round(found["beta"].moved, 3)
    (('alpha', 'beta'), 0.022)
    """

    over: str
    column: str
    rows: int
    level: float
    base: Mapping[str, Answer]
    cells: pd.DataFrame
    chances: Mapping[str, float]
    resamples: int = 0
    doubt: str = ""

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names, the first of which `moved`, `ratio`, `chance` and `combined` are of."""
        return tuple(self.base)

    def __getitem__(self, name: str) -> Windows:
        if name not in self.base:
            raise ValueError(f"there is no statistic {name!r}; there are {', '.join(self.base)}.")
        chances = {name: self.chances[name]} if name in self.chances else {}
        return replace(self, base={name: self.base[name]}, cells=self._of(name), chances=chances)

    @property
    def estimate(self) -> Answer:
        """The statistic over all rows."""
        return self.base[self.statistics[0]]

    @property
    def furthest(self) -> pd.Series[Any] | None:
        """Row of the window that moves the statistic furthest; None if no window counts."""
        return self._largest("moved")

    @property
    def moved(self) -> float:
        """How far the windows move the statistic: the largest change from its value over all rows, with its sign."""
        furthest = self.furthest
        return NAN if furthest is None else float(furthest["moved"])

    @property
    def ratio(self) -> float:
        """How many times half the interval over all rows the windows move the statistic; nan without an interval."""
        half = self.estimate.half
        return abs(self.moved) / half if half > 0 else NAN

    @property
    def chance(self) -> float:
        """Chance that noise alone moves some window as far, in units of its own `by_noise`; nan without a bootstrap."""
        return self.chances.get(self.statistics[0], NAN)

    @property
    def plainest(self) -> pd.Series[Any] | None:
        """Row of the counted window that moves the statistic furthest beyond its noise; None without a bootstrap."""
        return self._largest("beyond")

    @property
    def holds(self) -> bool | None:
        """Whether noise explains how far the windows move every statistic; None where that is not known.

        It does not where the chance of some statistic is at most 1 - level, shared by the statistics (Bonferroni).
        """
        verdicts = [self._held(name) for name in self.statistics]
        return None if None in verdicts else all(verdicts)

    @property
    def needed(self) -> int:
        """Resamples below which no chance is as small as `holds` asks for, so that it is None."""
        return int(np.ceil(1 / self._share - 1e-9)) - 1

    @property
    def combined(self) -> tuple[float, float]:
        """Interval that holds the range over the windows and the sampling error (our definition); nan without one.

        It runs from the lowest value over the windows to the highest, the value over all rows among them, and beyond
        each by as much as the interval over all rows reaches beyond its estimate on that side. So it is the interval
        that would be right if the value of any one window were the true one. No coverage is claimed: of a law that
        holds it is too long, since the range has noise in it too, and what all windows have wrong it does not show.
        """
        values = self._of(self.statistics[0]).query("counted")["estimate"]
        base = self.estimate
        low, high = min([base.value, *values]), max([base.value, *values])
        return float(low - (base.value - base.low)), float(high + (base.high - base.value))

    def to_frame(self) -> pd.DataFrame:
        """A row per statistic and window.

        `kind` ("from" a lower cut on, "up to" an upper one, "sliding"), `low` and `high` (both ends belong to the
        window), `rows`, `estimate` with `estimate_low` and `estimate_high`, `moved` (from the value over all rows),
        `by_noise` (what noise moves it by in this window), `beyond` (the one by the other), `ok`, `counted`, and a
        `note` on what is wrong.
        """
        return self.cells.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None where there is no number."""
        found = {}
        for name in self.statistics:
            one, furthest = self[name], self[name].furthest
            plain = one.cells.drop(columns="statistic").astype(object)
            found[name] = {
                "estimate": _finite(one.estimate.value),
                "low": _finite(one.estimate.low), "high": _finite(one.estimate.high),
                "moved": _finite(one.moved), "ratio": _finite(one.ratio), "chance": _finite(one.chance),
                "combined": [_finite(end) for end in one.combined],
                "furthest": None if furthest is None else self._words(furthest), "headline": one.headline,
                "against_noise": one.against_noise,
                "windows": plain.where(one.cells.notna(), None).to_dict("records"),
            }  # fmt: skip
        return {"over": self.over, "column": self.column, "rows": self.rows, "level": self.level, "holds": self.holds,
                "resamples": self.resamples, "doubt": self.doubt, "statistics": found}  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"NOT OK the fit to all rows: {self.doubt}"] if self.doubt else []
        for one in (self[name] for name in self.statistics):
            verdict = {None: "      ", True: "ok    ", False: "MOVED "}[self._held(one.statistics[0])]
            lines += [f"{verdict} {one.headline}", *([f"       {one.against_noise}"] * bool(one.against_noise))]
        unknown = "       whether noise alone does that is not known: "
        if not self.chances:
            lines.append(f"{unknown}pass sf.bootstrap(fit) instead of a fit")
        elif self.resamples < self.needed:
            lines.append(f"{unknown}that takes {self.needed} resamples, and {self.resamples} count")
        ranked = f"rows ranked by {self.column}" if self.over == "rank" else f"windows of {self.column}"
        first = self._of(self.statistics[0])
        lines.append(f"{ranked}: {len(first)}, {int(first['counted'].sum())} of them counted")
        return visible("\n".join([*lines, *self._table(first)]))

    @property
    def headline(self) -> str:
        """How far the windows move the statistic, in a sentence."""
        name, base, furthest = self.statistics[0], self.estimate, self.furthest
        if furthest is None:
            return f"no window counts, so nothing can be said of {name} {base.value:.4g}"
        if not self.moved:
            return f"no window moves {name}, which is {base.value:.4g}"
        where = f"{self._words(furthest)}, {furthest['rows']} of {self.rows} rows"
        words = f"the window moves {name} by {self.moved:+.3g} ({where}), from {base.value:.4g} to "
        words += f"{furthest['estimate']:.4g}"
        if np.isfinite(self.ratio):
            low, high = self.combined
            words += f": {self.ratio:.1f} times half its {100 * self.level:g} % interval, which is {base.low:.4g} to "
            words += f"{base.high:.4g}, and {low:.4g} to {high:.4g} with the windows"
        return words

    @property
    def against_noise(self) -> str:
        """What noise alone does over these windows, in a sentence; nothing without a bootstrap."""
        row = self.plainest
        if row is None or not self.moved:
            return ""
        return (
            f"furthest beyond noise is {self._words(row)}: {row['moved']:+.3g}, where noise moves it by "
            f"{row['by_noise']:.2g}; noise alone does as much in some window with a chance of {100 * self.chance:.2g} %"
        )

    @property
    def _share(self) -> float:
        return (1 - self.level) / len(self.statistics)

    def _held(self, name: str) -> bool | None:
        """Whether noise explains how far the windows move one statistic, beside the others."""
        chance = self.chances.get(name, NAN)
        return None if np.isnan(chance) or self.resamples < self.needed else chance > self._share * (1 + 1e-9)

    def _largest(self, column: str) -> pd.Series[Any] | None:
        """Counted row in which a column is largest in size; None where none has a value."""
        rows = self._of(self.statistics[0])
        sizes = np.where(rows["counted"], rows[column].abs(), np.nan)
        return None if np.isnan(sizes).all() else rows.iloc[int(np.nanargmax(sizes))]

    def _of(self, name: str) -> pd.DataFrame:
        return self.cells[self.cells["statistic"] == name]

    def _words(self, row: pd.Series[Any]) -> str:
        """A window in words."""
        if row["kind"] == FROM:
            return f"{self.column} from {row['low']:.4g} on"
        start = f"{self.column} up to" if row["kind"] == UP_TO else f"{self.column} {row['low']:.4g} to"
        return f"{start} {row['high']:.4g}"

    def _table(self, rows: pd.DataFrame) -> list[str]:
        shown = rows.head(MOST_LINES)
        cells = [("window", "rows", "estimate", "interval", "noise", "")]
        for _, row in shown.iterrows():
            ends = "" if np.isnan(row["estimate_low"]) else f"{row['estimate_low']:.4g} to {row['estimate_high']:.4g}"
            value, noise = (f"{row[name]:.4g}" if np.isfinite(row[name]) else "" for name in ("estimate", "by_noise"))
            cells.append((self._words(row), str(row["rows"]), value, ends, noise, row["note"]))
        used = [place for place in range(6) if any(line[place] for line in cells[1:])]
        widths = [max(len(line[place]) for line in cells) for place in range(6)]
        lines = []
        for line in cells:
            padded = [line[p].ljust(widths[p]) if p in (0, 5) else line[p].rjust(widths[p]) for p in used]
            lines.append(("  " + "  ".join(padded)).rstrip())
        return [*lines, *([f"  and {len(rows) - len(shown)} more"] if len(rows) > len(shown) else [])]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
