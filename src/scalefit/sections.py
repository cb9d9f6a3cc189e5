"""The sections of a report on the law, on what to train and on the runs, and the order of all sections."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from .answers import NEAR, Answer
from .checks import checks_section
from .datasets import DATASETS
from .figures import counting_figure, frontier_figure, law_figure, names_of, residuals_figure
from .inlining import MINUS, NONE, count, number, short
from .moves import moves_section
from .pages import Listing, Section, Words
from .parts import name_of
from .studies import Study
from .telling import ends, formula, letter, linked, power, range_of, sentences, share, symbol, why

MOST_ROWS = 12  # of a table that is not folded
NOT_OK = "The fit is not ok, so this is what its formula says, no more"
BEYOND = "Times beyond the runs: by what factor the parameters or the tokens lie outside those of all runs."


def sections_of(study: Study) -> tuple[Section, ...]:
    """All sections of a study, in the order of the questions of the first screen."""
    return (
        law_section(study), moves_section(study), checks_section(study), plan_section(study), runs_section(study),
    )  # fmt: skip


def law_section(study: Study) -> Section:
    """The law, its intervals, and what it misses by."""
    fit = study.fit
    headline = Markup("The law is {}").format(formula(study))
    status = fit.verdict if fit.ok else " ".join(fit.notes)
    paragraphs: list[Words] = [status, *fit.remarks, *study.notes]
    figures = law_figure(study), counting_figure(study), residuals_figure(study)
    return Section(
        "law", "The law", headline, tuple(paragraphs), tuple(figure for figure in figures if figure is not None),
        (_parameters(study),), why(study, "intervals"),
    )  # fmt: skip


def _parameters(study: Study) -> Listing:
    rows: list[tuple[Words, ...]] = []
    for name, one in study.intervals.items():
        words: Words = Markup(", ").join(linked(doubt) for doubt, _ in one.doubts)
        rows.append((symbol(name), number(one.estimate), ends(one), number(one.standard_error, 2), words))
    fixed = getattr(study.fit.model, "fixed", None) or {}
    rows += [(symbol(name), number(value), "fixed", NONE, "") for name, value in fixed.items()]
    head = ["", "estimate", f"{share(study.settings.level)} interval", "standard error", "doubts"]
    said: Words = " ".join(dict.fromkeys(note for one in study.intervals.values() for note in one.notes))
    doubts = {row[-1] for row in rows}
    if len(doubts) == 1:  # none, or the same of all
        head, rows = head[:-1], [row[:-1] for row in rows]
        said = Markup("{}: {}").format(doubts.pop(), said) if said else ""
    return Listing(head, rows, caption="Numbers of the law", note=said, words=frozenset({4}))


def plan_section(study: Study) -> Section:
    """What to train at round budgets."""
    plan = study.found.get("plan")
    if plan is None:
        return Section("plan", "What to train", "These runs do not tell how to split compute", why(study, "plan"))
    first = next((answer for answer in plan.answers if answer.flops > plan.frontier.flops.max()), plan.answers[-1])
    best = f"train {count(first.numbers['params'])} parameters on {count(first.numbers['tokens'])} tokens"
    headline = f"With {number(first.flops)} FLOPs, {best if first.ok else 'no best model is found'}"
    said: tuple[Words, ...] = () if study.fit.ok else (f"{NOT_OK}: {study.fit.notes[0]}",)
    head = ("FLOPs", "parameters", share(plan.level), "tokens", share(plan.level), "tokens each", "loss", "")
    rows = []
    for answer in plan.answers:
        numbers, of = answer.numbers, answer.intervals
        rows.append((
            number(answer.flops), count(numbers["params"]), ends(of.get("params"), count), count(numbers["tokens"]),
            ends(of.get("tokens"), count), number(numbers["tokens_per_param"], 3), number(numbers["loss"]),
            _where(answer),
        ))  # fmt: skip
    note = BEYOND if any(answer.reach > NEAR for answer in plan.answers) else ""
    table = Listing(head, rows, caption="The best model for a budget, C = 6 N D", note=note, words=frozenset({7}))
    next_ = study.found.get("next_runs")
    figures = tuple(
        figure for figure in (frontier_figure(study), frontier_figure(study, "tokens_per_param")) if figure is not None
    )
    beside = _beside(study)
    tables = (table,) if next_ is None else (table, _next_runs(study))
    return Section(
        "plan",
        "What to train",
        headline,
        (*said, *plan.frontier.notes, *plan.far[:1], *beside),
        figures,
        tables,
        why(study, "surface", "next_runs"),
    )


def _next_runs(study: Study) -> Listing:
    """Runs that would narrow the statistic most, for the budget of the largest run so far."""
    found = study.found["next_runs"]
    name = symbol(name_of(study.statistic))
    columns = [column for column in found.plan.columns if column not in ("standard_error", "flops")]
    rows = [
        (
            str(place),
            *(count(row[column]) for column in columns),
            number(row["flops"], 3),
            number(row["standard_error"], 3),
        )
        for place, (_, row) in enumerate(found.plan.iterrows(), 1)
    ]
    head = ("", *columns, "FLOPs", f"standard error of {name} with it")
    note = (
        f"Now the standard error of {name} is {number(found.standard_error, 3)}. These runs, added one by one for at "
        f"most {number(found.budget, 3)} FLOPs in all, would narrow it most if the law holds."
    )
    if study.headline.refused:
        note += f" There is no interval of {name}, so this is rough: the order of the runs says more than the numbers."
    return Listing(head, rows, caption=f"The next runs that would tell most about {name}", note=note)


def _where(answer: Answer) -> str:
    """Where an answer is, beside the runs."""
    if not answer.ok or answer.by_lines or answer.reach <= NEAR:
        return answer.where
    return f"{number(10**answer.reach, 2)} times beyond the runs"


def _beside(study: Study) -> tuple[Words, ...]:
    """What surfaces without a formula say of the exponent, beside the law."""
    said = []
    for name, words in (("surface", "A kernel surface"), ("network", "A network")):
        other = study.found.get(name)
        if other is not None:
            a = other["exponents"].a
            said.append(
                Markup(
                    "{}, which knows no formula, gives N ∝ {} over the budgets of the runs; the law gives {}."
                ).format(words, power("C", a), power("C", study.headline.estimate))
            )
    return tuple(said)


def runs_section(study: Study) -> Section:
    """The table: what its columns hold, what was done to it on the way, and its rows."""
    table = study.table
    ranges = [(name, range_of(table[name])) for name in table.inputs]
    headline = f"{len(table)} runs of {sentences(f'{words} {_unit(name)}' for name, words in ranges)}"
    steps = [(note,) for note in table.notes]
    done = Listing(("in this order",), steps, title="What was done to the table", folded=True, words=frozenset({0}))
    tables = (_rows(study), *([done] if steps else []))
    return Section("runs", "The runs", headline, (), (), tables, _known(study.name))


def _known(name: str) -> tuple[Words, ...]:
    """What is known of a published table."""
    if name not in DATASETS:
        return ()
    known = DATASETS[name]
    return (
        f"{known.title}. {known.source}. Params: {known.params_convention}. Flops: {known.flops_convention}. "
        f"Loss: {known.loss_unit}. {' '.join(known.defects)}",
    )


def _unit(name: str) -> str:
    return {"params": "parameters", "tokens": "tokens", "flops": "FLOPs"}.get(name, name)


def _rows(study: Study) -> Listing:
    table, predicted = study.table, study.fit.predicted
    places = np.argsort(-np.abs(study.fit.residuals))[:MOST_ROWS]
    names = names_of(study)
    rows = [
        (short(names[row], 60), *(count(table[name][row]) for name in table.inputs), number(table.loss[row]),
         number(predicted[row]), f"{table.loss[row] - predicted[row]:+.2g}".replace("-", MINUS))
        for row in places
    ]  # fmt: skip
    head = ("run", *(letter(name) for name in table.inputs), "loss", "law", "difference")
    title = f"The {len(rows)} runs farthest from the law" if len(rows) < len(table) else "All runs, the farthest first"
    return Listing(head, rows, title=title, folded=True)
