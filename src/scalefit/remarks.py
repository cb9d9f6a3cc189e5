"""What a reader of a fit should know about its rows although nothing is wrong with the fit itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import INPUTS
from .selection import DATA, is_seed
from .table import LossTable

Floats = NDArray[np.float64]

# A row is gross if it is off by both: 10 robust standard deviations of the log residuals, and 5 %. Our choice.
GROSS_SCATTERS, GROSS_SHARE = 10.0, 0.05
# A slice is an outlier if its squared error is so many times the median's, of at least so many slices. Our choice.
OUTLYING, LEAST_SLICES = 30.0, 3
VARIES = 1.01  # ratio of largest to smallest above which a column is not constant
_OTHER: dict[tuple[str, ...], str] = {("params",): "tokens", ("tokens",): "params"}
RUNS, STEPS = (
    ("run", "run_id", "run_name", "name"),
    ("_step", "step", "global_step", "trainer/global_step", "iteration"),
)
# No loss is below this column; an offset that is lower by this share of the smallest excess is told. Our choice.
FLOOR, BELOW = "loss_floor", 0.1
# The best setting lies at the edge of what was tried; told from this share of the rows on. Our choice.
EDGE, EDGES = "at_edge", 0.25
# What a run ends with, not what it begins with; the last four are of the tables of scaletrain.
NOT_SETTINGS = ("loss", "count", "replicates", "loss_sd", "at_edge", "loss_se", "excess", "seconds", "cpu_seconds")


def remarks(
    table: LossTable, inputs: Sequence[str], predicted: Floats, *, offset: float | None = None
) -> tuple[str, ...]:
    """Sentences about rows that the law cannot account for: gross ones, unequal settings, other inputs that vary.

    Parameters
    ----------
    table : LossTable
    inputs : sequence of str
        Columns that the law takes.
    predicted : (n,) array, nats per token
    offset : float, optional
        E of the law, beside the floor of the losses if that is known.
    """
    other = _OTHER.get(tuple(inputs), "")
    steps = _steps(table)
    return (
        *steps,
        *_data_sets(table),
        *_below_floor(table, offset),
        *_gross(table, inputs, predicted),
        *([] if steps else unreduced(table, inputs)),
        *_at_edges(table),
        *_other_input(table, inputs, other),
    )


def outlying_slices(at: str, values: Floats, mse: Floats) -> tuple[str, ...]:
    """Sentences about slices whose squared error is far above that of the others.

    Examples
    --------
    >>> outlying_slices("tokens", np.array([1e9, 2e9, 4e9]), np.array([1e-5, 1e-5, 1e-2]))
    ('the slice at tokens 4e+09 has 1000 times the squared error of the others: look for a diverged run.',)
    """
    if len(mse) < LEAST_SLICES:
        return ()
    usual = max(float(np.median(mse)), 1e-300)
    return tuple(
        f"the slice at {at} {value:.4g} has {error / usual:.0f} times the squared error of the others: "
        "look for a diverged run."
        for value, error in zip(values, mse, strict=True)
        if error > OUTLYING * usual
    )


def scatter(residuals: Floats) -> float:
    """Robust standard deviation: 1.4826 times the median absolute residual.

    Examples
    --------
    >>> scatter(np.array([-1.0, 1.0, 100.0]))
    1.4826
    """
    return 1.4826 * float(np.median(np.abs(residuals)))


def where_in(table: LossTable, inputs: Sequence[str], row: int) -> str:
    """A row by its inputs."""
    return ", ".join(f"{name} {table[name][row]:.4g}" for name in inputs)


def floors_of(table: LossTable) -> Floats:
    """What no loss can be below, run by run; nothing where a run has none that is known.

    Examples
    --------
    >>> import pandas as pd
    >>> from scalefit.table import LossTable
    >>> frame = pd.DataFrame({"params": [1e8, 1e9], "loss": [3.0, 2.5], "loss_floor": [1.5, 1.5]})
    >>> floors_of(LossTable.from_frame(frame)).tolist()
    [1.5, 1.5]
    """
    if FLOOR not in table or table[FLOOR].dtype.kind not in "iuf" or not np.all(np.isfinite(table[FLOOR])):
        return np.empty(0)
    return np.asarray(table[FLOOR], dtype=float)


def _below_floor(table: LossTable, offset: float | None) -> list[str]:
    """An offset that is clearly below what no loss can be below."""
    floors = floors_of(table)
    if offset is None or not len(floors):
        return []
    floor = float(floors.min())
    excess = float(table.loss.min()) - floor
    if not (excess > 0 and floor - offset > BELOW * excess):
        return []
    return [
        f"E, {offset:.5g}, is below the known floor of these losses, {floor:.5g} in {FLOOR!r}: the law is wrong where "
        f"it nears E, and so are its exponents. Fix E at the floor (--fix E={floor:.6g}), or leave out the runs in "
        "which the models have hardly learned."
    ]


def _gross(table: LossTable, inputs: Sequence[str], predicted: Floats) -> list[str]:
    with np.errstate(all="ignore"):
        off = np.abs(np.log(table.loss / predicted))
    gross = np.flatnonzero(~(off <= max(GROSS_SCATTERS * scatter(off), GROSS_SHARE)))
    if not len(gross):
        return []
    worst = int(gross[np.argmax(off[gross])])
    return [
        f"{len(gross)} of {len(table)} rows are over {GROSS_SCATTERS:g} times the scatter off, the worst at "
        f"{where_in(table, inputs, worst)} (loss {table.loss[worst]:.4g}): look for diverged or mistyped runs."
    ]


def _steps(table: LossTable) -> list[str]:
    """Rows that are steps of the same runs."""
    runs, steps = ([name for name in names if name in table] for names in (RUNS, STEPS))
    if not (runs and steps):
        return []
    count = table.to_frame()[runs[0]].nunique()
    return (
        [f"{len(table)} rows are of {count} runs, and {steps[0]!r} tells their steps: a law is of the end of each run. "
         "Make the table with LossTable.read_history."]
        if count < len(table) and table.to_frame().groupby(runs[0])[steps[0]].nunique().max() > 1 else []
    )  # fmt: skip


def _data_sets(table: LossTable) -> list[str]:
    """Rows of several data sets."""
    names = list(dict.fromkeys(map(str, table[DATA]))) if DATA in table else []
    if len(names) < 2:
        return []
    return [
        f"the rows are of {len(names)} data sets ({', '.join(names[:4])}), and a law is of one. Keep one: --where "
        f"'{DATA} == {names[0]}'."
    ]


def unreduced(table: LossTable, inputs: Sequence[str]) -> list[str]:
    """Rows at the same inputs that differ in something that was chosen: neither a seed nor what a run ends with.

    Examples
    --------
    >>> import scalefit as sf
    >>> unreduced(sf.load("er_small"), ("params", "tokens"))[0][:67]
    '258 rows stand at 30 values of params, tokens and differ in lr; the'
    """
    frame, other = table.to_frame(), _OTHER.get(tuple(inputs), "")
    groups = frame.groupby(list(inputs), sort=False)
    if groups.ngroups == len(frame):
        return []
    told = (*inputs, other, *(["flops"] if other or "params" in inputs else []))
    beside = [name for name in INPUTS if name in frame and name not in told and (groups[name].nunique() > 1).any()]
    numbers = [name for name in frame.columns if frame[name].dtype.kind in "iuf"]
    often = [name for name in numbers if frame[name].nunique() <= len(frame) / 2]  # else a label, or measured
    seeds = [name for name in often if is_seed(name)]
    # what follows from these, such as steps from tokens, or the sites of a world that a seed drew, was not chosen
    given = [*(name for name in INPUTS if name in numbers and frame[name].nunique() < len(frame)),
             *([DATA] if DATA in frame else [])]  # fmt: skip
    known = (*INPUTS, *seeds, *NOT_SETTINGS)
    chosen = [
        name
        for name in often
        if name not in known
        and (
            _varies(frame, name, [*given, *seeds])
            or (_varies(frame, name, given) and any(_are_one(frame, name, seed) for seed in seeds))
        )
    ]
    differ = [*beside, *chosen]
    if not differ:
        return []
    mean = ", mean='seed'" if "seed" in frame else ""
    remedy = (
        ""
        if beside
        else f" Keep the best of each with table.best(over=({', '.join(map(repr, differ))},){mean}), "
        f"on the command line {' '.join(f'--best {name}' for name in differ)}."
    )
    return [
        f"{len(frame)} rows stand at {groups.ngroups} values of {', '.join(inputs)} and differ in "
        f"{', '.join(differ)}; the law goes through their middle.{remedy}"
    ]


def _at_edges(table: LossTable) -> list[str]:
    """Best settings at the edge of what was tried."""
    if EDGE not in table or table[EDGE].dtype.kind != "b" or table[EDGE].mean() < EDGES:
        return []
    return [
        f"at {table[EDGE].sum()} of {len(table)} rows the best setting is at the edge of what was tried: beyond it "
        "losses may be lower, and the law another. Try settings there."
    ]


def _varies(frame: pd.DataFrame, name: str, given: list[str]) -> bool:
    """Whether a column has several values in some rows that share what is given."""
    cells = frame.groupby(given, sort=False, dropna=False)[name].nunique() if given else frame[name].nunique()
    return bool(np.any(cells > 1))


def _are_one(frame: pd.DataFrame, name: str, seed: str) -> bool:
    """Whether each value goes with one seed, and each seed with one value."""
    return not (_varies(frame, name, [seed]) or _varies(frame, seed, [name]))


def _other_input(table: LossTable, inputs: Sequence[str], other: str) -> list[str]:
    """A law of one of params and tokens, over rows in which the other varies too."""
    if other not in table:
        return []
    low, high = float(table[other].min()), float(table[other].max())
    if high <= VARIES * low:
        return []
    return [
        f"{other} varies too, from {low:.4g} to {high:.4g}: this is the law along these runs, not at fixed {other}. "
        f"For that, fit_curves(..., along={inputs[0]!r}, at={other!r})."
    ]
