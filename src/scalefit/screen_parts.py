"""What several screens share: the ends of intervals, doubts told once, how a fit and its intervals were found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from .terminal import visible

if TYPE_CHECKING:
    from .intervals import Doubt, Interval
    from .resampled import Bootstrap
    from .result import Fit
    from .table import LossTable

LISTED = 20  # rows and reasons on the screen; JSON has all
MEAN = "mean"  # over slices, as a row beside theirs


def ends(interval: Interval) -> Text:
    """Ends with the decimals that give their distance three digits; of very unlike or large ends, four digits each."""
    low, high = interval
    least, most = sorted((abs(low), abs(high)))
    if most >= 1e6 or most < 1e-3 or 0 < least < most / 100 or not high > low:
        return Text(f"{low:.4g} to {high:.4g}")
    decimals = max(0, 2 - math.floor(math.log10(high - low)))
    return Text(f"{low:.{decimals}f} to {high:.{decimals}f}")


def doubt_lines(
    named: Sequence[tuple[str, Interval]], *, at: str = "", slices: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Every doubt about intervals once, most severe first, with those that it is about unless these are all."""
    every = list(dict.fromkeys(name for name, _ in named))
    found: dict[Doubt, dict[str, dict[str, None]]] = {}
    for name, interval in named:
        for doubt, about in interval.doubts:
            found.setdefault(doubt, {}).setdefault(about, {})[name] = None
    pairs = []
    for doubt in sorted(found, key=_severity):
        details = []
        for about, names in found[doubt].items():
            if list(names) == every:
                whose = ""
            elif slices and names.keys() >= set(slices):
                whose = "every slice"
            else:
                values = [name for name in names if name != MEAN]
                of = [f"{at} {', '.join(values)}".strip()] if values else []
                whose = " and ".join([*of, *(["the mean"] if MEAN in names else [])])
            details.append(": ".join(words for words in (whose, about) if words))
        known = "; ".join(words for words in details if words)
        pairs.append(("refused" if doubt.refuses else "doubt", f"{doubt.value} ({known})" if known else doubt.value))
    return pairs


def _severity(doubt: Doubt) -> int:
    order: list[Doubt] = list(type(doubt))
    return order.index(doubt)


def resampling_facts(boot: Bootstrap, method: str) -> list[tuple[str, str]]:
    """What the bootstrap was, and how many of its refits are not as they should be."""
    refits = len(boot) * len(boot.parts)
    units = "clusters" if boot.scheme.by else "rows"
    return [
        ("bootstrap", boot.words),
        ("bootstrap", f"{len(boot)} resamples of {boot.units} {units}, seed {boot.seed}; intervals by {method}"),
        *(("bootstrap", note) for note in boot.notes),
        *(("refits", f"{count} of {refits} are {words}") for words, count in boot.flags.items()),
        *([] if boot.flags else [("refits", f"none of {refits} failed or ended at a bound")]),
    ]


def fit_heading(fit: Fit, name: str) -> Text:
    """What was fitted, to which table."""
    if fit.has_law:
        what = fit.formula
    else:
        what = f"{type(fit.model.regressor).__name__} of log loss on {', '.join(f'log {name}' for name in fit.inputs)}"
    return Text.assemble((visible(what), "bold"), f"    {visible(name)}, {len(fit.table)} rows")


def fit_facts(fit: Fit, *, common_to_slices: bool = False) -> list[tuple[str, str]]:
    """Objective and protocol; of several slices, only what they share."""
    from .objective import describe
    from .slopes import told

    protocol = fit.protocol
    rule = protocol.get("delta_rule")
    by_rule = isinstance(rule, str)
    name = type(fit.objective).__name__
    if common_to_slices:
        what = f"{name} of {fit.objective.space} residuals" if by_rule else describe(fit.objective)
        objective = [("objective", f"{what}, sum over rows")]
    else:
        objective = [
            ("objective", f"{fit.objective_value:.9g}, {describe(fit.objective)}, sum over rows"),
            ("residuals", fit.spread),
            ("mse", f"{fit.mse:.6g} nats^2, mean squared error of the loss"),
            *[
                ("slopes", f"{line.removeprefix('local slopes ')}; local, of loss - E")
                for line in told(fit.local_slopes)
            ],
        ]
    search = dict(protocol["search"])
    bounds = search.pop("bounds", None)
    found = [str(search.pop("method")), *(f"{key.replace('_', ' ')} {value}" for key, value in search.items())]
    return [
        *objective,
        *([("delta", f"by the rule {rule}")] if by_rule else []),
        *([("weights", f"column {fit.weights}, as frequencies")] if fit.weights else []),
        ("search", found[0] if common_to_slices else ", ".join(found)),
        *([] if fit.has_law else [("settings", _settings(fit.model.regressor))]),
        *([("bounds", bounds)] if bounds else []),
    ]


def _settings(regressor: Any) -> str:
    """Settings of the regressor of a surface."""
    return ", ".join(f"{name} {value}" for name, value in regressor.get_params(deep=False).items())


def table_facts(table: LossTable) -> list[tuple[str, str]]:
    """What is in a table, what was done to it, and what was dropped."""
    ranges = [f"{name} {table[name].min():.4g} to {table[name].max():.4g}" for name in (*table.inputs, "loss")]
    reasons = list(table.dropped.get("reason", []))
    unused = len(table) - int(table["kept"].sum()) if "kept" in table and table["kept"].dtype == bool else 0
    more = [f"and {len(reasons) - LISTED} more; --json lists all"] if len(reasons) > LISTED else []
    return [
        ("table", ", ".join(ranges)),
        *(("table", note) for note in table.notes),
        *([("table", f"kept is False in {unused} of these rows; --where kept leaves them out")] if unused else []),
        ("table", f"digest {table.digest}"),
        *(("dropped", reason) for reason in [*reasons[:LISTED], *more]),
    ]
