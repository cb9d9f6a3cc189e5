"""The first screen of a report: the headline, and the answers to four questions."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from . import __version__
from .analyses import OF_ROLLOUT, of_windows
from .figures import UNITS, names_of
from .formula import SeparableLaw
from .inlining import NONE, count, number, short
from .intervals import Doubt
from .moves import uncounted
from .objective import describe
from .pages import Card, Page, Word, Words
from .sections import NOT_OK, sections_of
from .studies import Study
from .telling import (
    anchor,
    doubts_of,
    ends,
    formula,
    formulas,
    is_moved,
    letter,
    linked,
    power,
    range_of,
    sentences,
    share,
    strongest_run,
    symbol,
    telling_window,
    why,
    window_words,
)

TOGETHER = 0.8  # of the runs of a size: half as far off as their mean, on its side
TERMS = {
    "Law": "A formula for the loss, with its numbers: E is the loss that no size reaches; the exponents say how fast "
    "the rest falls with parameters N, tokens D or compute C.",
    "a": "Exponent of the best model size: N grows as C to the power a when compute is spent best, by C = 6 N D.",
    "Interval": "What the noise in these runs leaves open about a number, if the formula and the choice of runs are "
    "right. It knows of nothing else.",
    "Window": "Some of the runs: without the smallest, without the largest, or a stretch between. If the law held "
    "everywhere, windows would differ by noise alone; what noise does is measured on resampled tables.",
    "Influence": "What leaving out one run, or all runs of one size, does to a number. A run lies off if the law that "
    "never saw it misses it by more than chance explains.",
    "Other formulas": "Laws of other shapes fitted to the same runs: with a second power, another offset, tied "
    "exponents. Those that fit about as well are as believable here, and may differ far beyond the runs.",
    "Kernel surface": "A smooth surface through the same runs without any formula. Inside the runs it shows what they "
    "say; outside it says nothing.",
    "Mean, new run": "The interval of the mean is for the law itself; one new run scatters around it, and so has a "
    "wider one.",
    "Next runs": "Runs that would shrink the standard error most for their compute, reckoned from the law as it is.",
}


def page_of(study: Study, *, command: str = "", alerts: tuple[Words, ...] = ()) -> Page:
    """The page of a study."""
    return Page(
        study.name, _headline(study), _deck(study), _cards(study), sections_of(study), protocol_of(study), command,
        _glossary(study), __version__, alerts,
    )  # fmt: skip


def _headline(study: Study) -> Words:
    found, said = study.found.get("windows"), _claim(study)
    if not study.fit.ok:
        return said + ", but the fit is not ok"
    if not np.isfinite(study.headline.low):
        return said + ", but no interval of it can be given"
    if found is None or found.holds is not False or not is_moved(found):
        return said
    window = telling_window(found)
    value, name, where = window["estimate"], study.headline.statistic, window_words(study, window)
    if study.of_plane:
        return said + Markup(" {} but as {} {}").format(NONE, power("C", value), where)
    if name == _exponent(study):
        return said + Markup(" {} but as {} {}").format(NONE, power(letter(study.fit.inputs[0]), -value), where)
    return said + Markup(" {} but {} is {} {}").format(NONE, symbol(name), number(value, 3), where)


def _claim(study: Study) -> Markup:
    """What the law says, in one sentence."""
    if study.of_plane:
        return Markup("The best model size grows as {}").format(power("C", study.headline.estimate))
    floor, name = study.fit.parameters.get("E"), _exponent(study)
    if name is None:
        return Markup("The law is {}").format(formula(study))
    falls = Markup("Loss falls as {}").format(power(letter(study.fit.inputs[0]), -study.fit.parameters[name]))
    return falls + Markup(" towards {} nats").format(number(floor, 3)) if floor else falls


def _exponent(study: Study) -> str | None:
    """Exponent of a law that is one power of one input; None of any other law."""
    law = study.fit.law
    if not isinstance(law, SeparableLaw) or len(law.terms) > 1 or law.terms[0].g != "log":
        return None
    return law.terms[0].exponent


def _deck(study: Study) -> Words:
    table = study.table
    units = {"params": "parameters", "tokens": "tokens", "flops": "FLOPs"}
    return f"{len(table)} runs: {sentences(f'{range_of(table[name])} {units[name]}' for name in table.inputs)}."


def _cards(study: Study) -> tuple[Card, ...]:
    return (_laws(study), _sure(study), _moves(study), _next(study))


def _laws(study: Study) -> Card:
    law = formula(study)
    if not study.of_plane:
        return Card("What is the law?", law, (), "law")
    a = study.headline.estimate
    best = Markup("N ∝ {}, D ∝ {}").format(power("C", a), power("C", 1 - a))
    return Card("What are the laws?", best, (law, "Parameters and tokens of the best model at compute C."), "law")


def _sure(study: Study) -> Card:
    one, level = study.headline, share(study.settings.level)
    lines: list[Words] = []
    if not np.isfinite(one.low):
        answer, tone = "No interval can be given", "doubt"
        lines += [doubt.value for doubt, _ in one.doubts if doubt.refuses][:1] or why(study, "intervals")
    elif any(doubt is Doubt.ONE_VALUE for doubt, _ in one.doubts):
        answer, tone = f"{symbol(one.statistic)} is {number(one.estimate, 3)}", "doubt"
        lines.append(Doubt.ONE_VALUE.value)
    else:
        answer, tone = f"{symbol(one.statistic)} is {ends(one, lambda value: number(value, 3))}", ""
        lines.append(f"{level} of such intervals hold the truth, if the law and the choice of runs are right.")
        if one.doubts:
            lines.append(f"In doubt: {sentences(linked(doubt).striptags() for doubt, _ in one.doubts)}.")
    if not study.fit.ok:
        answer, tone = "The fit is not ok", "warn"
        lines = [study.fit.notes[0]]
    made = study.found.get("forecasts")
    if made is not None and any(rival.better for rival in made.rivals):
        lines.append(f"But {formulas(sum(rival.better for rival in made.rivals))} these runs better.")
    elif made is not None and made.close:
        lines.append(f"{formulas(len(made.close))} these runs about as well.")
    return Card("How sure is that?", answer, tuple(lines), "law", tone)


def _moves(study: Study) -> Card:
    question = "What moves the answer?"
    found = study.found.get("windows")
    strongest = strongest_run(study)
    if found is None or found.furthest is None:
        unsaid = study.missing["windows"] if found is None else uncounted(found)
        if strongest is not None:
            return Card(question, "Single runs, at least", (f"{strongest[1]}.", unsaid), "moves", "doubt")
        return Card(question, "Unknown", (unsaid,), "moves", "doubt")
    furthest, name = telling_window(found), symbol(found.statistics[0])
    if not is_moved(found):
        return Card(question, f"Nothing moves {name}", ("No window of the runs changes it.",), "moves")
    where = f"{window_words(study, furthest)}, on {furthest['rows']} of {found.rows}."
    change = f"{name} goes from {number(found.estimate.value, 3)} to {number(furthest['estimate'], 3)}"
    lines: list[Words] = []
    if found.holds:
        answer, tone = "No window of the runs, beyond noise", ""
        lines.append(f"The furthest: {change} {where}")
    else:
        answer, tone = change, "warn" if found.holds is False else ""
        lines.append(where[0].upper() + where[1:])
        if furthest.name != found.furthest.name:
            far = found.furthest
            lines.append(
                f"Furthest: {number(far['estimate'], 3)} {window_words(study, far)}, where noise moves it by "
                f"{number(far['by_noise'], 2)}."
            )
        if np.isfinite(found.ratio):
            low, high = found.combined
            lines.append(
                f"Windows move it by up to {number(found.ratio, 2)} times half its interval; {number(low, 3)} to "
                f"{number(high, 3)} holds them all."
            )
        if found.holds is None and strongest is not None and strongest[0] > abs(found.moved):
            lines.append(f"{strongest[1]}.")
    runs, size = study.found.get("influence"), _odd_size(study)
    if size and found.holds:
        answer, tone, lines = "One size of model lies off", "warn", [size, *lines]
    elif size:
        lines.append(size)
    elif runs is not None and len(runs.suspects):
        off = len(runs.suspects)
        first = names_of(study)[runs.suspects.iloc[0]["row"]]
        lines.append(
            f"{off} of {runs.rows} runs {'lie' if off > 1 else 'lies'} off: {short(first, 40)}{' first' * (off > 1)}."
        )
    return Card(question, answer, tuple(lines), "moves", tone)


def _odd_size(study: Study) -> str:
    """Names the size whose runs lie off together, if there is one: not one whose mean a single run moves."""
    sizes, runs = study.found.get("influence_by_size"), study.found.get("influence")
    if sizes is None or runs is None or not len(sizes.suspects):
        return ""
    odd = sizes.suspects.iloc[0]
    off = runs.units["apart"][np.isclose(runs.units[sizes.by], odd[sizes.by], rtol=1e-3)] / odd["apart"]
    if np.mean(off > 0.5) < TOGETHER:
        return ""
    where = "above" if odd["apart"] > 0 else "below"
    return (
        f"The {odd['rows']} runs of {count(odd[sizes.by])} {UNITS.get(sizes.by, sizes.by)} lie off together, "
        f"{100 * abs(odd['apart']):.2g} % {where} the others; without them {symbol(sizes.statistic)} is "
        f"{number(sizes.estimate + odd['effect'], 3)}."
    )


def _next(study: Study) -> Card:
    question = "What should I train next?"
    plan, made = study.found.get("plan"), study.found.get("forecasts")
    doubtful, tone = ((), "") if study.fit.ok else ((f"{NOT_OK}.",), "doubt")
    if plan is None:
        lines: list[Words] = [study.missing["plan"]]
        if made is not None:
            low, high = made.models[:, 0]
            law = f"by this law, {ends(made.means[0])}"
            (name, values), *_ = made.points.items()
            said = f"{formulas(len(made.close))} about as well: {number(low)} to {number(high)}."
            unit = {"params": "parameters", "flops": "FLOPs"}.get(name, name)
            answer = f"{count(values[0])} {unit} would reach {number(made.loss[0])} nats"
            said = f"{law}; {said}" if made.close else f"{law}."
            return Card(question, answer, (said, *doubtful, *lines), "plan", tone)
        return Card(question, "Unknown", tuple(lines), "plan", "doubt")
    far = [answer for answer in plan.answers if answer.flops > plan.frontier.flops.max()] or list(plan.answers)
    asked = [answer for answer in plan.answers if answer.flops == study.settings.budget]
    first, found = (asked or far)[0], study.found.get("next_runs")
    interval = first.intervals.get("params")
    known = f"{share(plan.level)}: {ends(interval, count)} parameters"
    known = "no interval can be given" if interval is None or interval.refused else known
    if not first.ok:
        return Card(question, "Unknown", (f"No best model is found at {number(first.flops)} FLOPs.",), "plan", "doubt")
    loss = f", {number(first.numbers['loss'])} nats" if np.isfinite(first.numbers["loss"]) else ""
    lines = [f"for {number(first.flops)} FLOPs{loss}; {known}.", *doubtful]
    if found is not None:
        run = found.plan.iloc[0]
        columns = {"params": "parameters", "tokens": "tokens"}
        said = sentences([f"{count(run[name])} {words}" for name, words in columns.items() if name in run])
        others = len(found.plan) - 1
        told = f"{said}, with {others} more {'run' if others == 1 else 'runs'}," if others else said
        lines.append(f"To know more: {told} would tell most about {symbol(study.headline.statistic)}.")
    answer = f"{count(first.numbers['params'])} parameters on {count(first.numbers['tokens'])} tokens"
    return Card(question, answer, tuple(lines), "plan", tone)


def protocol_of(study: Study) -> tuple[tuple[str, Words], ...]:
    """What makes the numbers of the page, label by label."""
    fit, boot, objective = study.fit, study.boot, study.fit.objective
    facts: list[tuple[str, Words]] = [
        ("law", f"{fit.formula}, fitted to {sentences(fit.inputs)}"),
        ("objective", f"{describe(objective)}, summed over rows; weights: {fit.weights or 'none'}"),
        ("search", ", ".join(f"{name} {value}" for name, value in fit.protocol["search"].items())),
    ]
    if boot is not None:
        facts.append(
            (
                "intervals",
                f"{boot.words}; {len(boot)} resamples of {boot.units} units, seed {boot.seed}; "
                f"{share(study.settings.level)}, {study.headline.method}",
            )
        )
    facts += [(name, words) for name, words in _analyses(study) if words]
    facts += [
        ("compute", "C = 6 N D"),
        ("table", f"{len(study.table)} rows, digest {study.table.digest}"),
        ("version", f"scalefit {__version__}"),
    ]
    return tuple(facts)


def _analyses(study: Study) -> list[tuple[str, str]]:
    """How each analysis was made, where it was."""
    found, seed = study.found, study.settings.seed
    windows, rolled, made = found.get("windows"), found.get("rollout"), found.get("validation")
    few = min(len(study.boot), of_windows(len(study.table))) if study.boot and windows and windows.chances else 0
    drawn = f"up to {few} resamples in each, the same scheme and seed" if few else "without resamples"
    given = rolled is not None and bool(np.isfinite(rolled["law"].forecasts["low"]).any())
    most = f"up to {OF_ROLLOUT} resamples each, seed {seed}" if given else "without intervals"
    return [
        ("windows", f"of {windows.column}; {drawn}" if windows else ""),
        ("larger runs", f"{len(rolled['law'].cuts)} cuts of {rolled['law'].over}, {most}" if rolled else ""),
        ("rows left out", made.words if made else ""),
        ("profiles", found["identifiability"].calibration if "identifiability" in found else ""),
        ("next runs", found["next_runs"].source if "next_runs" in found else ""),
        ("surface", str(found["surface"]["fit"].formula) if "surface" in found else ""),
    ]  # fmt: skip


def _glossary(study: Study) -> tuple[Word, ...]:
    words = [Word(term.lower(), term, meaning) for term, meaning in TERMS.items()]
    seen: list[Any] = [*dict.fromkeys(status for status, _ in study.fit.model.findings_), *doubts_of(study)]
    return (*words, *(Word(anchor(one), one.name.lower().replace("_", " "), one.value) for one in seen))
