"""The command `scalefit report`: one page about a table, and the file from which its numbers can be made again."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import interval_options, options
from .interval_options import Asked
from .outcomes import exit_code, one_message
from .terminal import console, print_note, status_line, visible, working

if TYPE_CHECKING:
    from .recipes import Recipe
    from .studies import Settings, Study
    from .table import LossTable

SHOWN = 3  # numbers that differ, named on stderr

Table = Annotated[
    str | None,
    typer.Argument(
        metavar="TABLE", show_default=False,
        help="A file or the name of a data set; by default the useful part of er_small, which ships.",
    ),
]  # fmt: skip
Law = Annotated[
    options.LawName | None,
    options.option("Model", "Formula; by default that of as many inputs as the table tells apart.", "--law"),
]
Inputs = Annotated[
    list[str] | None,
    options.option("Model", "Column that the law takes, in its order. Repeatable.", "--inputs", metavar="COLUMN"),
]
Network = Annotated[bool, options.option("Model", "A network beside the law: minutes, and torch.", "--network")]
Page = Annotated[
    Path, options.option("Output", "The page; its numbers go into a .json beside it.", "-o", "--output", metavar="FILE")
]
Budget = Annotated[
    float | None,
    options.option(
        "Model", "Best model for this budget, by C = 6 N D; by default powers of ten beyond the runs.", "--budget",
        metavar="FLOPS",
    ),
]  # fmt: skip
From = Annotated[
    Path | None,
    options.option(
        "Output", "Make the report of this report.json again; with TABLE, its protocol on that table.", "--from",
        metavar="FILE",
    ),
]  # fmt: skip


def report_command(
    table: Table = None,
    output: Page = Path("report.html"),
    again: From = None,
    law: Law = None,
    inputs: Inputs = None,
    objective: options.Objectives = None,
    space: options.Spaces = None,
    delta: options.Delta = None,
    fix: options.Fix = None,
    tie: options.Tie = None,
    budget: Budget = None,
    network: Network = False,
    columns: options.Columns = None,
    flops: options.Flops = None,
    where: options.Where = None,
    best: options.Best = None,
    drop_invalid: options.DropInvalid = False,
    weights: options.Weights = None,
    resamples: interval_options.Resamples = None,
    seed: interval_options.Seed = None,
    scheme: interval_options.Schemes = None,
    by: interval_options.By = None,
    level: interval_options.Level = None,
) -> None:
    """Write one page that says what the laws are, how sure they are, what moves them, and what to train next."""
    asked = Asked(True, None, resamples, seed, scheme, by, level, None)
    form = {"objective": objective, "space": space, "delta": delta, "fix": fix, "tie": tie}
    if budget is not None and not 0 < budget < math.inf:
        raise options.usage("--budget", f"must be positive and finite, such as 1e22, not {budget:g}.")
    chosen = {"law": law, "inputs": inputs, **form, "budget": budget, "network": network, "weights": weights,
              "resamples": resamples, "seed": seed, "scheme": scheme, "by": by, "level": level}  # fmt: skip
    source: dict[str, Any] = {
        "table": table, "columns": columns, "flops": flops, "where": where, "best": best, "drop_invalid": drop_invalid,
    }  # fmt: skip
    if again is not None:
        given = [
            f"--{name}".replace("_", "-") for name, value in {**source, **chosen}.items() if value and name != "table"
        ]
        if given:
            raise options.usage(", ".join(given), "is said by the file of --from. Leave it out.")
    with one_message():
        _check_files(table, output)
        if again is None:
            made = _new(source, output, asked, law, form, inputs, weights, network, budget)
        else:
            made = _again(again, table, output)
        console().print(status_line(made.fit.ok, made.fit.notes or (made.fit.verdict,), _more(made)))
        console().print(
            f"{visible(output)} and {visible(output.with_suffix('.json').name)} are written.", soft_wrap=True
        )
    refused = all(interval.refused for interval in made.intervals.values())
    raise typer.Exit(exit_code(made.fit.ok, refused))


def _new(
    source: dict[str, Any], output: Path, asked: Asked, law: options.LawName | None, form: dict[str, Any],
    inputs: list[str] | None, weights: str | None, network: bool, budget: float | None,
) -> Study:  # fmt: skip
    """The report of a table."""
    from .reporting import BEST, DATASET, WHERE, save
    from .studies import Settings

    if source["table"] is None:
        shipped = {"table": DATASET, "where": list(WHERE), "best": list(BEST)}
        source = {name: value or shipped.get(name, value) for name, value in source.items()}
    with working(f"reading {source['table']}"):
        runs = _read(source)
    model = None
    if law is not None or any(form.values()):
        from .choosing import choose_model

        name = law or options.LawName(
            "chinchilla" if len(choose_model(runs, None, inputs, weights).inputs) == 2 else "power"
        )
        model = options.make_model(name, **form)
    settings = Settings(
        model, None if inputs is None else tuple(inputs), weights, asked.chosen_scheme(),
        asked.resamples or interval_options.RESAMPLES,
        asked.seed or 0, asked.share, network, budget,
    )  # fmt: skip
    made = _study(runs, Path(source["table"]).name, settings)
    save(made, output, source=source)
    return made


def _again(again: Path, table: str | None, output: Path) -> Study:
    """The report of a report.json, of its own rows or of those of a table."""
    from .recipes import differences, kept_digest, read_recipe
    from .reporting import save

    recipe = read_recipe(again)
    alerts = []
    if table is not None:
        runs = _read({**_asked(recipe), "table": table})
        if kept_digest(runs) != recipe.table.digest:
            alerts.append(f"The rows of {table} are not those of {again.name}: its protocol on other data.")
    else:
        runs = recipe.table
        alerts += _changed(recipe, again.name)
    made = _study(runs, recipe.name, recipe.settings)
    count, moved = differences(recipe.numbers, made.to_dict())
    if moved and table is None:
        words = f"{len(moved)} of {count} numbers differ from {again.name}, made by scalefit {recipe.version}"
        alerts.append(f"{words}: {'; '.join(moved[:SHOWN])}.")
    for alert in alerts:
        print_note(alert)
    if not moved:
        console(stderr=True).print(f"all {count} numbers are those of {visible(again.name)}", soft_wrap=True)
    save(made, output, source=recipe.source, alerts=alerts, again=again)
    return made


def _asked(recipe: Recipe) -> dict[str, Any]:
    names = ("columns", "flops", "where", "best", "drop_invalid")
    return {name: recipe.source.get(name) for name in names}


def _changed(recipe: Recipe, name: str) -> list[str]:
    """Says when the table that the report was of is at hand, and has other rows by now."""
    from .recipes import kept_digest

    source = recipe.source.get("table")
    if source is None:
        return []
    try:
        now = _read({**_asked(recipe), "table": source})
    except (ValueError, TypeError, OSError):  # the table is not here: the rows that were kept are
        return []
    if kept_digest(now) == recipe.table.digest:
        return []
    return [
        f"The table {source} has changed since {name} was made: this report is of the rows that were kept. For the new "
        f"ones: scalefit report {shlex.quote(source)} --from {shlex.quote(name)}"
    ]


def _study(runs: LossTable, name: str, settings: Settings) -> Study:
    from .studies import study

    return study(runs, name, settings, step=working)


def _read(source: dict[str, Any]) -> LossTable:
    return options.read_table(
        source["table"], columns=source["columns"], flops=source["flops"], where=source["where"], best=source["best"],
        drop_invalid=bool(source["drop_invalid"]),
    )  # fmt: skip


def _check_files(table: str | None, output: Path) -> None:
    """Refuse a page that could not be written, or that would replace what it is made of."""
    from .reporting import check_path

    check_path(output)
    for written in (output, output.with_suffix(".json")):
        if table is not None and written.exists() and Path(table).exists() and written.samefile(table):
            raise options.usage("--output", "would replace the table itself. Choose another file.")


def _more(made: Study) -> list[tuple[str, str]]:
    """What the page says first."""
    found = made.found.get("windows")
    notes = [("note", remark) for remark in made.fit.remarks]
    if found is None:
        return notes
    said = [found.headline] if found.holds is False else [found.headline, found.against_noise]
    return [*notes, ("moved" if found.holds is False else "note", "; ".join(filter(None, said)))]
