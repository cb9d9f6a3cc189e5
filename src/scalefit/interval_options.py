"""The panel Interval of the command line: its options, the predictions and the bootstrap that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import option, pairs, usage
from .terminal import duration, print_note, working

if TYPE_CHECKING:
    from .curves import Curves
    from .intervals import Method
    from .resampled import Bootstrap
    from .result import Fit
    from .schemes import Scheme
    from .summary import Summary

PANEL = "Interval"
MOST_RESAMPLES, RESAMPLES = 1_000_000, 1000  # those of `bootstrap`: the most, and the default
LONG = 60.0  # seconds of a bootstrap that are worth a word


class SchemeName(StrEnum):
    """What is redrawn."""

    default = "default"
    wild = "wild"
    wild_bca = "wild-bca"
    pairs = "pairs"


class MethodName(StrEnum):
    """How an interval is read off the draws."""

    percentile_t = "percentile_t"
    bca = "bca"
    percentile = "percentile"
    basic = "basic"


Wanted = Annotated[bool, option(PANEL, "Bootstrap: standard errors and intervals beside the numbers.", "--interval")]
Resamples = Annotated[
    int | None,
    typer.Option(min=2, max=MOST_RESAMPLES, help="Refits; 1000 by default.", rich_help_panel=PANEL, metavar="COUNT"),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Of the draws; 0 by default.", rich_help_panel=PANEL, metavar="NUMBER")
]
Schemes = Annotated[
    SchemeName | None,
    option(
        PANEL,
        "default: signs on leave-one-out residuals, by model size if many have several runs; wild: by rows, or --by; "
        "wild-bca: on plain residuals, with BCa (arXiv:2601.10684); pairs: runs drawn with replacement.",
        "--scheme",
    ),
]
By = Annotated[
    str | None,
    option(
        PANEL, "Column of runs that err together; by default params, if many sizes have several runs.", "--by",
        metavar="COLUMN",
    ),
]  # fmt: skip
Level = Annotated[float | None, option(PANEL, "Coverage; 0.95 by default.", "--level", metavar="SHARE")]
Methods = Annotated[MethodName | None, option(PANEL, "Ends of the interval; by default the scheme's own.", "--method")]
Predict = Annotated[
    list[str] | None,
    option(
        PANEL, "Inputs to predict the loss at, with or without --interval. Repeatable.", "--predict",
        metavar="params=1e12,...",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What the panel asks for; None is the default."""

    interval: bool
    predict: Sequence[str] | None
    resamples: int | None
    seed: int | None
    scheme: SchemeName | None
    by: str | None
    level: float | None
    method: MethodName | None

    def __post_init__(self) -> None:
        if self.level is not None and not 0 < self.level < 1:
            raise usage("--level", f"must be between 0 and 1, such as 0.95, not {self.level:g}.")
        given = [f"--{field.name}" for field in fields(self)[2:] if getattr(self, field.name) is not None]
        if given and not self.interval:
            raise usage(", ".join(given), "goes with intervals, and none is asked for. Add --interval.")

    def points(self, inputs: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Where the loss is predicted, by the name that it is shown under."""
        from .parts import name_of

        found: dict[str, dict[str, Any]] = {}
        for text in self.predict or ():
            point = _point(text, inputs)
            if name_of(point) in found:
                raise usage("--predict", f"asks twice for the {name_of(point)}.")
            found[name_of(point)] = point
        return found

    def summary(self, fitted: Fit | Curves, points: Sequence[dict[str, Any]], name: str) -> Summary | None:
        """Bootstrap of a fit, or of curves, and its intervals, where these are asked for."""
        boot = self.bootstrap(fitted, name)
        if boot is None:
            return None
        from .summary import summarise

        with working("reading intervals off the refits"):
            return summarise(boot, points, level=self.share, method=self.how)

    def bootstrap(self, fitted: Fit | Curves, name: str) -> Bootstrap | None:
        """Bootstrap of a fit, or of curves, where intervals are asked for."""
        if not self.interval:
            return None
        from .resampling import bootstrap

        chosen: dict[str, Any] = {"resamples": self.resamples, "seed": self.seed}
        chosen = {key: value for key, value in chosen.items() if value is not None}
        with working(f"resampling {name}") as progress:
            return bootstrap(fitted, self.chosen_scheme(), progress=progress, **chosen)

    def warn(self, fitted: Fit, seconds: float) -> None:
        """Say how long a bootstrap of fits that are made one by one will take, if long, from the time of one."""
        from .laws import SeparableLaw

        network = getattr(getattr(fitted.model, "regressor", None), "device", "") == "cpu"
        alone = network or (fitted.has_law and not isinstance(fitted.law, SeparableLaw))
        count = self.resamples or RESAMPLES
        if self.interval and alone and seconds * count > LONG:
            gpu = ", or use a GPU: --model network:device=cuda" if network else ""
            print_note(
                f"one fit took {duration(seconds)}. Intervals need {count} of them, and one without each run or "
                f"cluster: about {duration(seconds * count)} in all. Ask for fewer --resamples{gpu}."
            )

    @property
    def share(self) -> float:
        """Coverage."""
        return 0.95 if self.level is None else self.level

    @property
    def how(self) -> Method | None:
        """Method; None is the scheme's own."""
        return None if self.method is None else self.method.value

    def chosen_scheme(self) -> Scheme | None:
        """Scheme by name; None lets `bootstrap` choose by the table."""
        from .schemes import Pairs, Wild, wild_bca

        if self.scheme is SchemeName.pairs:
            return Pairs(by=self.by)
        if self.scheme is SchemeName.wild_bca:
            return replace(wild_bca(), by=self.by)
        return Wild(by=self.by) if self.scheme is SchemeName.wild or self.by is not None else None


def _point(text: str, inputs: Sequence[str]) -> dict[str, float]:
    """Inputs of one prediction, from "params=1e12,tokens=2e13"."""
    said = pairs("--predict", [part for part in text.split(",") if part.strip()])
    if set(said) != set(inputs):
        named = ", ".join(said) or "nothing"
        raise usage("--predict", f"must name what the law takes, {' and '.join(inputs)}, but names {named}.")
    point = {}
    for name in inputs:
        try:
            point[name] = float(said[name])
        except ValueError:
            point[name] = float("nan")
        if not 0 < point[name] < float("inf"):
            raise usage("--predict", f"{name} must be a positive number, not {said[name]!r}.")
    return point
