"""The entropy ladder: data sets by the smallest offset that was fitted to them, and their exponents against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from .curves import Curves
from .intervals import doubts_of
from .markup import html_of
from .replicates import Progress
from .rungs import AXES, EXPONENTS, NoRungError, Rung, Source, curves_of, rung_of
from .selection import check_slicing
from .sheets import MISSING, Ends, Number, Sheet, Symbol, visible
from .table import LossTable

OF_BOOTSTRAP = " Name by='params' if there are enough sizes."  # a remedy that a ladder does not take


@dataclass(frozen=True, repr=False, eq=False)
class EntropyLadder:
    """Data sets from the highest entropy to the lowest, with the exponents of each: Fig. 2 of arXiv:2601.10684.

    Attributes
    ----------
    rungs : tuple of Rung
        In falling order of entropy.
    level : float
        Of the intervals.
    left_out : mapping of str to str
        Data sets of which no slice can be fitted, and why.

    Examples
    --------
    >>> import numpy as np
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e6, 1e9, 8), tokens=np.geomspace(1e7, 1e10, 8))
    >>> laws = {"text": sf.Chinchilla(E=1.7, A=50, B=200, alpha=0.3, beta=0.3),
    ...         "bigram": sf.Chinchilla(E=4.0, A=900, B=9000, alpha=0.6, beta=0.6)}
    >>> tables = {name: sf.simulate(law, design, noise=0.001) for name, law in laws.items()}
    >>> ladder = entropy_ladder(tables, resamples=100)
    >>> [rung.name for rung in ladder]
    ['bigram', 'text']
    >>> ladder.to_frame()[["entropy", "alpha", "beta"]].round(1).values.tolist()
    [[4.0, 0.6, 0.6], [1.8, 0.3, 0.3]]
    """

    rungs: tuple[Rung, ...]
    level: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rungs)

    def __iter__(self) -> Iterator[Rung]:
        return iter(self.rungs)

    @property
    def ok(self) -> bool:
        """Whether no data set and no slice of one is left out, and no interval refused."""
        return not self.notes

    @property
    def notes(self) -> tuple[str, ...]:
        """Data sets and slices of them that are left out, and intervals that are refused."""
        found = [f"left out: {reason}" for reason in list(self.left_out.values())[:1]]
        if others := list(self.left_out)[1:]:
            found.append(f"left out too: {', '.join(others)}.")
        for rung in self.rungs:
            for along, at in AXES.items():
                good, total = rung.slices(along)
                if good < total:
                    found.append(f"{rung.name}: {total - good} of {total} slices along {along}, at one {at} each, "
                                 "are not ok and left out.")  # fmt: skip
        refused: dict[tuple[str, str], list[str]] = {}
        for rung in self.rungs:
            for one in (rung.entropy, rung.alpha, rung.beta):
                if one.refused:
                    doubt, about = next(pair for pair in one.doubts if pair[0].refuses)
                    refused.setdefault((one.statistic, doubt.value), []).append(rung.name + f" ({about})" * bool(about))
        return (*found, *(f"no interval of {of} of {', '.join(names)}: {why}" for (of, why), names in refused.items()))

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against intervals that are given, once each; data sets are named where it is not all of them."""
        found = []
        for name in ("entropy", "alpha", "beta"):
            intervals = [getattr(rung, name) for rung in self.rungs]
            doubts = [[] if one.refused else [pair for pair in one.doubts if not pair[0].refuses] for one in intervals]
            of_all = tuple(pair for pair in doubts[0] if all(pair in others for others in doubts))
            found.append(replace(intervals[0], statistic=name, doubts=of_all))
            for rung, one, own in zip(self.rungs, intervals, doubts, strict=True):
                rest = tuple(pair for pair in own if pair not in of_all)
                found.append(replace(one, statistic=f"{name} of {rung.name}", doubts=rest))
        said = [doubt.replace(OF_BOOTSTRAP, "") for doubt in doubts_of(found)]
        return (*said, *(rung.doubt for rung in self if rung.doubt))

    def to_frame(self) -> pd.DataFrame:
        """A row per data set: entropy, alpha and beta with their ends, sd over slices, slices that are ok and all.

        Where no slice can be fitted, a row without numbers; `left_out` says why.
        """
        rows = []
        for rung in self.rungs:
            row: dict[str, Any] = {"dataset": rung.name}
            for name, interval in (("entropy", rung.entropy), ("alpha", rung.alpha), ("beta", rung.beta)):
                row |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
            for along, exponent in EXPONENTS.items():
                good, total = rung.slices(along)
                row |= {f"{exponent}_sd": rung.sd(along), f"{exponent}_ok": good, f"{exponent}_slices": total}
            rows.append({**row, "entropy_at": rung.at, "loss_floor": rung.floor})
        none = {f"{exponent}_{what}": 0 for exponent in EXPONENTS.values() for what in ("ok", "slices")}
        return pd.DataFrame([*rows, *({"dataset": name, **none} for name in self.left_out)])

    def to_dict(self) -> dict[str, Any]:
        """Notes, doubts and every data set as plain values."""
        rungs = [
            {
                "dataset": rung.name, "entropy": rung.entropy.to_dict(), "entropy_at": rung.at,
                "loss_floor": rung.floor, "alpha": rung.alpha.to_dict(), "beta": rung.beta.to_dict(),
                **{f"{EXPONENTS[along]}_sd": rung.sd(along) for along in AXES},
            }
            for rung in self.rungs
        ]  # fmt: skip
        said = {"notes": list(self.notes), "doubts": list(self.doubts)}
        return {"ok": self.ok, **said, "level": self.level, "rungs": rungs, "left_out": dict(self.left_out)}

    def _sheet(self) -> Sheet:
        rows = []
        for rung in self.rungs:
            cells = [
                cell
                for interval in (rung.entropy, rung.alpha, rung.beta)
                for cell in (Number(interval.estimate), Ends(interval.low, interval.high))
            ]
            rows.append((rung.name, *cells))
        rows += [(name, *6 * (MISSING,)) for name in self.left_out]
        percent = f"{100 * self.level:g} %"
        names = (Symbol("entropy"), percent, Symbol("alpha"), percent, Symbol("beta"), percent)
        return Sheet(
            "ok" if self.ok else "NOT OK", self.notes or (f"all slices of {len(self)} data sets are ok",),
            "entropy: smallest E, nats per token; alpha of L(N) at each D, beta of L(D) at each N, means over slices",
            ("data set", *names), tuple(rows), footer=self.doubts,
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return html_of(self._sheet())

    def __repr__(self) -> str:
        sheet = self._sheet()
        body = [[visible(cell) for cell in row] for row in (sheet.header, *sheet.rows)]
        widths = [max(len(row[place]) for row in body) for place in range(len(body[0]))]
        lines = [f"{sheet.verdict:<7} {reason}" for reason in sheet.reasons] + [sheet.title]
        for name, *cells in body:
            right = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
            lines.append("  ".join([f"{name:<{widths[0]}}", *right]))
        return visible("\n".join([*lines, *sheet.footer]))


def entropy_ladder(
    datasets: Mapping[str, Source] | Iterable[tuple[str, Source]], *, rtol: float = 1e-3, min_rows: int = 4,
    level: float = 0.95, resamples: int = 1000, seed: int = 0, progress: Progress | None = None,
) -> EntropyLadder:  # fmt: skip
    """Smallest fitted offset of each data set as a proxy of its entropy, and the exponents against it.

    Parameters
    ----------
    datasets : mapping, or pairs, of a name and a LossTable or Curves
        A table of one data set, to which `PowerLaw` is fitted along params at each number of tokens and along tokens at
        each size; or the two `Curves` of one, of any separable law with a free offset E and one exponent.
    rtol, min_rows
        Of the slices of tables, as of `fit_curves`.
    level : float
        Of the intervals.
    resamples, seed
        As of `bootstrap`.
    progress : callable, optional
        As of `bootstrap`: called with the data sets that are done, and all.

    Raises
    ------
    TypeError
        If a name is no text, or a value neither table nor curves.
    ValueError
        If there is no data set or none that can be fitted, a name or a table comes twice, an axis is missing, or no fit
        that is ok has a free offset.

    Notes
    -----
    E of a fit whose status is not ok, such as one at the bound 0, does not count; of resamples it does, so a low end
    of 0 says that the losses bound the entropy from above alone. The smallest of many noisy offsets is too low: more
    slices give a lower one. Its interval has that lean too; where it leaves out its estimate, the doubts say so.
    Rows are resampled on their own; by model size it is ``bootstrap(rung.curves["params"], Wild(by="params"))``.

    References
    ----------
    .. [1] arXiv:2601.10684, Fig. 2 and section 4.1; there the exponents are alpha_D and beta_N.

    Examples
    --------
    >>> import numpy as np
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e6, 1e9, 6), tokens=np.geomspace(1e7, 1e10, 6))
    >>> law = sf.Chinchilla(E=4.0, A=900, B=9000, alpha=0.6, beta=0.6)
    >>> (rung,) = entropy_ladder({"bigram": sf.simulate(law, design, noise=0.001)}, resamples=100)
    >>> round(rung.entropy.estimate, 1), round(rung.alpha.estimate, 1)
    (4.0, 0.6)
    """
    check_slicing(rtol, min_rows)
    usable: dict[str, Mapping[str, Curves]] = {}
    left_out: dict[str, str] = {}
    for name, source in _named(datasets).items():
        try:
            usable[name] = curves_of(name, source, rtol=rtol, min_rows=min_rows)
        except NoRungError as error:
            left_out[name] = str(error)
    if not usable:
        (first, *others) = left_out.values()
        raise ValueError(f"none of {len(left_out)} data sets can be fitted. The first: {first}" if others else first)
    rungs = []
    for done, (name, curves) in enumerate(usable.items(), start=1):
        rungs.append(rung_of(name, curves, level=level, resamples=resamples, seed=seed))
        if progress is not None:
            progress(done, len(usable))
    rungs.sort(key=lambda rung: -rung.entropy.estimate)
    return EntropyLadder(tuple(rungs), level, left_out)


def _named(datasets: Mapping[str, Source] | Iterable[tuple[str, Source]]) -> dict[str, Source]:
    """Data sets by name, each once."""
    pairs = list(datasets.items() if isinstance(datasets, Mapping) else datasets)
    if not pairs:
        raise ValueError("there is no data set. Give a table for each: entropy_ladder({'text': table, ...}).")
    named: dict[str, Source] = {}
    tables: dict[LossTable, str] = {}
    for name, source in pairs:
        if not isinstance(name, str):
            raise TypeError(f"names of data sets are text, not {name!r}.")
        if name in named:
            raise ValueError(f"the data set {name!r} is given twice. Give each its own name.")
        if isinstance(source, LossTable):
            twin = next((other for table, other in tables.items() if table == source), None)
            if twin is not None:
                raise ValueError(f"{twin!r} and {name!r} are the same table. Give each data set its own.")
            tables[source] = name
        named[name] = source
    return named
