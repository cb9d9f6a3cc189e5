"""The options that commands share, and what each means: which table, which model. A bad option is a usage error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .terminal import visible

if TYPE_CHECKING:
    from .laws import Law
    from .objective import Objective
    from .parametric import LawRegressor
    from .table import LossTable


class LawName(StrEnum):
    """Laws that ship."""

    chinchilla = "chinchilla"
    kaplan = "kaplan"
    data_constrained = "data-constrained"
    power = "power"
    exponential = "exponential"
    broken = "broken"


class CurveLaw(StrEnum):
    """Laws of one column."""

    power = "power"
    exponential = "exponential"
    broken = "broken"


class Kind(StrEnum):
    """Objectives."""

    huber = "huber"
    squared = "squared"
    absolute = "absolute"


class Space(StrEnum):
    """Where residuals are taken."""

    raw = "raw"
    log = "log"


def option(panel: str, words: str, *names: str, metavar: str | None = None) -> Any:
    """Option in a panel of the help."""
    return typer.Option(*names, help=words, metavar=metavar, rich_help_panel=panel)


TableName = Annotated[
    str, typer.Argument(metavar="TABLE", help="A file (CSV, TSV, JSON lines, Parquet) or the name of a data set.")
]
Rtol = Annotated[float, typer.Option(
    min=0, help="Share by which the column that is fixed may grow in a slice.", rich_help_panel="Slices",
)]  # fmt: skip
MinRows = Annotated[int, typer.Option(min=2, help="Rows that a slice needs.", rich_help_panel="Slices")]
Columns = Annotated[
    list[str] | None,
    option("Table", "Column of params, tokens, flops or loss. Repeatable.", "--columns", metavar="params=N"),
]
Flops = Annotated[
    str | None, option("Table", "Rule for the absent one of params, tokens and flops.", "--flops", metavar="6ND")
]
Where = Annotated[
    list[str] | None,
    option(
        "Table",
        "Rows of the checked table to keep: 'kept', 'not kept', 'flops >= 1e20'. Repeatable: all hold.",
        "--where",
        metavar="CONDITION",
    ),
]
Best = Annotated[
    list[str] | None,
    option(
        "Table", "Keep the lowest loss over this setting (lr) of each configuration; columns of seeds that are not "
        "named are averaged first. Repeatable.", "--best",
        metavar="COLUMN",
    ),
]  # fmt: skip
DropInvalid = Annotated[bool, option("Table", "Drop rows with unusable values, and list them.", "--drop-invalid")]
Weights = Annotated[str | None, option("Table", "Column of frequencies.", "--weights", metavar="COLUMN")]
Objectives = Annotated[Kind | None, option("Model", "What to minimise; by default the law's own.", "--objective")]
Spaces = Annotated[Space | None, option("Model", "Residuals of the loss or of its logarithm.", "--space")]
Delta = Annotated[
    str | None,
    option(
        "Model", "Zone of huber: a number, mad_of_loss or mad_of_residuals.", "--delta", metavar="1e-3|RULE"
    ),
]  # fmt: skip
Fix = Annotated[list[str] | None, option("Model", "Parameter that keeps a value. Repeatable.", "--fix", metavar="E=0")]
Tie = Annotated[
    list[str] | None,
    option("Model", "Parameter that shares another's value. Repeatable.", "--tie", metavar="beta=alpha"),
]
AsJson = Annotated[bool, option("Output", "Print JSON and nothing else.", "--json")]
Output = Annotated[
    Path | None,
    option("Output", "Write the result as JSON, whole or not at all.", "-o", "--output", metavar="FILE"),
]


# --- The table ---


def read_table(
    name: str, *, columns: Sequence[str] | None, flops: str | None, where: Sequence[str] | None,
    best: Sequence[str] | None, drop_invalid: bool,
) -> LossTable:  # fmt: skip
    """Table of a path or a data set, mapped and selected.

    Raises
    ------
    ValueError
        If there is neither such a file nor such a data set, or its content cannot be used.
    """
    from .columns import CANONICAL
    from .flops import RULES

    renamed = pairs("--columns", columns)
    for key in renamed:
        if key not in CANONICAL:
            raise usage("--columns", f"names {', '.join(CANONICAL)}, not {key!r}.")
    if flops is not None and flops not in RULES:
        raise usage("--flops", f"there is no rule {flops!r}; there is {', '.join(RULES)}.")
    table = _open(name, renamed, flops, drop_invalid)
    return tuned(table.where(*where) if where else table, best)


def tuned(table: LossTable, best: Sequence[str] | None) -> LossTable:
    """The lowest loss over settings of each configuration, seeds averaged first; the table itself if none is named."""
    if not best:
        return table
    seeds = [name for name in table.columns if (name == "seed" or name.endswith("_seed")) and name not in best]
    return table.best(over=tuple(best), mean=tuple(seeds))


def _open(name: str, columns: dict[str, str], flops: str | None, drop_invalid: bool) -> LossTable:
    from .datasets import DATASETS, load
    from .table import LossTable

    if Path(name).exists():
        return LossTable.read(name, columns, flops=flops, drop_invalid=drop_invalid)
    if name not in DATASETS:
        raise ValueError(_neither(name, list(DATASETS)))
    table = load(name)
    if not (columns or flops):
        return table
    mapped = LossTable.from_frame(table.to_frame(), columns, flops=flops, drop_invalid=drop_invalid)
    return replace(mapped, notes=(*table.notes, *mapped.notes))


def _neither(name: str, datasets: list[str]) -> str:
    """Say that a name is neither a file nor a data set, with what comes close to it."""
    folder = Path(name).parent
    files = [str(path) for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    close = [f"the file {match!r}" for match in get_close_matches(name, files, n=1)]
    close += [f"the data set {match!r}" for match in get_close_matches(name, datasets, n=1)]
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return (
        f"there is no file {name!r} (looked in {Path.cwd()}) and no data set of that name.{hint} "
        f"Data sets: {', '.join(datasets)}."
    )


# --- The model ---


def make_model(
    law: str, *, objective: str | None, space: str | None, delta: str | None,
    fix: Sequence[str] | None, tie: Sequence[str] | None,
) -> LawRegressor:  # fmt: skip
    """Unfitted model that the options describe; whatever they leave open is the law's own default."""
    from .constraints import constrain
    from .laws import LAWS
    from .parametric import LawRegressor

    chosen = LAWS[law]
    fixed = {name: _parameter_value(name, text) for name, text in pairs("--fix", fix).items()}
    tied = pairs("--tie", tie)
    try:
        constrain(chosen.parameters(), fixed=fixed, tied=tied)
    except ValueError as error:
        raise usage("--fix, --tie", str(error)) from error
    return LawRegressor(
        chosen, objective=_objective(chosen, objective, space, delta), fixed=fixed or None, tied=tied or None
    )


def choose_inputs(law: type[Law], table: LossTable, name: str, inputs: Sequence[str] | None) -> tuple[str, ...]:
    """Columns that the law takes.

    Raises
    ------
    ValueError
        If the table lacks one; the message says which law or option to choose.
    """
    if inputs:
        if len(inputs) != law.n_inputs():
            raise usage("--inputs", f"{law.__name__} takes {law.n_inputs()} columns, not {len(inputs)}.")
        return tuple(inputs)
    if law.inputs is None and len(table.inputs) > 1:
        raise ValueError(
            f"{law.__name__} takes one column, and {name} has {', '.join(table.inputs)}. "
            f"Say which: --inputs {table.inputs[0]}"
        )
    absent = [column for column in law.inputs or () if column not in table]
    if absent:
        derive = ", or derive it: --flops 6ND" if len(table.inputs) == 2 else ""
        raise ValueError(
            f"{law.__name__} needs {' and '.join(law.inputs or ())}, and {name} has no {' and no '.join(absent)}. "
            f"Fit a law of one column: --law power --inputs {table.inputs[0]}; "
            f"or say which column it is: --columns {absent[0]}=...{derive}"
        )
    return law.inputs or table.inputs


def _objective(law: type[Law], kind: str | None, space: str | None, delta: str | None) -> Objective | None:
    """Objective that differs from the law's default only in what is asked; None if nothing is."""
    from .objective import DELTA_RULES, Absolute, Huber, Squared

    if kind is None and space is None and delta is None:
        return None
    kinds = {"huber": Huber, "squared": Squared, "absolute": Absolute}
    default = law.objective
    asked: dict[str, Any] = {"space": space or default.space}
    chosen = kinds[kind] if kind else type(default)
    if chosen is Huber:
        asked["delta"] = default.delta if delta is None else delta if delta in DELTA_RULES else _delta(delta)
    elif delta is not None:
        raise usage("--delta", f"belongs to --objective huber, not to {kind}.")
    made: Objective = chosen(**asked)
    return made


def _delta(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise usage("--delta", f"must be a positive number, mad_of_loss or mad_of_residuals, not {text!r}.")
    return value


def _parameter_value(name: str, text: str) -> float:
    value = _number(text)
    if not 0 <= value < math.inf or (value == 0 and name != "E"):
        raise usage("--fix", f"{name} must be a positive number (E may be 0), not {text!r}.")
    return value


def pairs(name: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Dict of the texts "key=value" of a repeatable option."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, sign, value = (part.strip() for part in text.partition("="))
        if not (key and sign and value):
            raise usage(name, f"needs NAME=VALUE, not {text!r}.")
        if key in found:
            raise usage(name, f"says twice what {key!r} is.")
        found[key] = value
    return found


def usage(name: str, words: str) -> typer.BadParameter:
    """Error of exit code 2 about an option."""
    return typer.BadParameter(visible(words), param_hint=name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
