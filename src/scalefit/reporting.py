"""The verb `report`: one page that says what the laws are, how sure they are, what moves them, what to train next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from .answering import page_of
from .datasets import load
from .pages import render
from .recipes import is_recipe, recipe_json
from .schemes import Scheme
from .studies import Settings, Step, Study, study
from .table import LossTable
from .writing import write_whole

# What is reported without a table: the sweep that ships, the best learning rate of each model, where models can hold
# the graph and have had 400 updates.
DATASET, WHERE, BEST = "er_small", ("width >= 24", "tokens >= 390000"), ("lr",)


def report(
    table: LossTable | None = None, path: str | os.PathLike[str] = "report.html", *, name: str | None = None,
    model: Any = None, inputs: str | Sequence[str] | None = None, weights: str | None = None,
    scheme: Scheme | None = None, resamples: int = 1000, seed: int = 0, level: float = 0.95, network: bool = False,
    budget: float | None = None, step: Step | None = None,
) -> Study:  # fmt: skip
    """Write a page about a table of runs, and beside it the JSON file from which the same numbers can be made again.

    Parameters
    ----------
    table : LossTable, optional
        By default the data set er_small, its useful part.
    path : path
        Of the page, which is one file and loads nothing. ``report.html`` has ``report.json`` beside it.
    name : str, optional
        What the table is called on the page.
    model : Law class or LawRegressor, optional
        By default the law of as many inputs as the table tells apart: Chinchilla, or a power law with offset.
    inputs : str or sequence of str, optional
        Columns that the law takes.
    weights : str, optional
        Column of frequencies.
    scheme : Wild or Pairs, optional
    resamples, seed : int
        As in `bootstrap`.
    level : float
        Nominal coverage of all intervals.
    network : bool
        Whether a network is fitted beside the law, which takes minutes and needs torch.
    budget : float, FLOPs, optional
        For which the best model is asked, by C = 6 N D; by default the powers of ten beyond the runs.
    step : callable, optional
        Takes what is being done, in words; gives a context in which it is done. For progress.

    Returns
    -------
    Study
        Every number of the page. `missing` says which analyses this table does not allow, and why.

    Raises
    ------
    TypeError
        If the table is no LossTable, or the model no law.
    ValueError
        If the table cannot be fitted at all.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = report(runs, f"{folder}/report.html", resamples=200)
    ...     sorted(os.listdir(folder))
    ['report.html', 'report.json']
    >>> made.headline.low < 0.25 < made.headline.high
    True
    """
    if table is None:
        table, name = load(DATASET).where(*WHERE).best(over=BEST, mean=("seed", "data_seed")), name or DATASET
    if not isinstance(table, LossTable):
        raise TypeError(
            f"report needs a LossTable, not {type(table).__name__}. Read a file with LossTable.read(path), or load a "
            "data set by its name: sf.load('pythia')."
        )
    check_path(path)
    columns = (inputs,) if isinstance(inputs, str) else None if inputs is None else tuple(inputs)
    settings = Settings(model, columns, weights, scheme, resamples, seed, level, network, _budget(budget))
    made = study(table, name or "runs", settings, step=step)
    save(made, path)
    return made


def _budget(budget: float | None) -> float | None:
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, Real) or not 0 < float(budget) < np.inf:
        raise ValueError(f"budget must be a positive, finite number of FLOPs, such as 1e22, not {budget!r}.")
    return float(budget)


def check_path(path: str | os.PathLike[str]) -> None:
    """Refuse a path to which no page can be written: before the work, not after.

    Raises
    ------
    ValueError
        If it does not end in .html.
    OSError
        If its folder is not there, or the JSON file beside it is somebody else's.

    Examples
    --------
    >>> check_path("report.html")
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a report is a page: its path must end in .html, not in {target.suffix!r}.")
    if not target.absolute().parent.is_dir():
        raise OSError(f"{target} could not be written (no folder {target.absolute().parent}). Choose another path.")
    if target.is_dir():
        raise OSError(f"{target} could not be written (it is a folder). Choose another path.")
    beside = target.with_suffix(".json")
    if beside.is_dir() or (beside.is_file() and not is_recipe(beside)):
        raise OSError(
            f"{beside} is there already and is no report.json, so the numbers of {target} cannot be put beside it. "
            "Choose another path."
        )


def save(
    made: Study, path: str | os.PathLike[str], *, source: Mapping[str, Any] | None = None, alerts: Sequence[str] = (),
    again: str | os.PathLike[str] | None = None,
) -> None:  # fmt: skip
    """Write the page of a study and the JSON file beside it, each whole or not at all.

    Parameters
    ----------
    made : Study
    path : path
        Of the page.
    source : mapping, optional
        How the command line found the table.
    alerts : sequence of str
        What stands above the answers.
    again : path, optional
        The JSON file that it was made again from, which is never replaced.

    Examples
    --------
    >>> import tempfile
    >>> import scalefit as sf
    >>> made = study(sf.load("pythia").where("kept"), "pythia", Settings(resamples=10))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(made, f"{folder}/pythia.html")
    ...     sorted(os.listdir(folder))
    ['pythia.html', 'pythia.json']
    """
    beside = Path(path).with_suffix(".json")
    command = f"scalefit report --from {shlex.quote(beside.name)}"
    html, recipe = render(page_of(made, command=command, alerts=tuple(alerts))), recipe_json(made, source or {})
    write_whole(path, html)
    if again is None or not (beside.exists() and beside.samefile(again)):
        write_whole(beside, recipe)
