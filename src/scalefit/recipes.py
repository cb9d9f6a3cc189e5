"""Recipes: what `report.json` keeps of a report, so that someone else gets the same numbers from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import __version__
from .columns import CHECKED
from .fitting import as_regressor
from .laws import LAWS
from .objective import objective_from_dict, objective_to_dict
from .parametric import LawRegressor
from .schemes import Pairs, Scheme, Wild
from .studies import Settings, Study
from .table import LossTable

FORMAT = 1  # of report.json
DIGITS = 1e-6  # relative difference below which two numbers are the same: other machines round otherwise
PARTS = {"name": str, "source": dict, "settings": dict, "table": dict, "numbers": dict}
SCHEMES: dict[str, type[Scheme]] = {"Wild": Wild, "Pairs": Pairs}


@dataclass(frozen=True)
class Recipe:
    """A report to be made again.

    Attributes
    ----------
    name : str
        What the table was called.
    table : LossTable
        The rows that it was made of.
    settings : Settings
    source : mapping
        How the command line found the table: its name, columns, conditions; empty where a program gave it.
    numbers : mapping
        Everything that the study gave.
    version : str
        Of scalefit.

    Examples
    --------
    >>> import scalefit as sf
    >>> Recipe("pythia", sf.load("pythia"), Settings()).version
    ''
    """

    name: str
    table: LossTable
    settings: Settings
    source: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""


def recipe_json(study: Study, source: Mapping[str, Any]) -> str:
    """Text of report.json.

    Raises
    ------
    TypeError
        If the law or the scheme has no plain form.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.studies import study
    >>> text = recipe_json(study(sf.load("pythia"), "pythia", Settings(resamples=10)), {})
    >>> sorted(json.loads(text))[:4]
    ['name', 'numbers', 'scalefit_report', 'settings']
    """
    columns = {name: [_cell(value) for value in study.table[name].tolist()] for name in study.table.columns}
    table = {"notes": list(study.table.notes), "columns": columns}
    content = {
        "scalefit_report": FORMAT, "version": __version__, "name": study.name, "source": dict(source),
        "settings": _settings(study), "table": {"digest": _table(table).digest, **table}, "numbers": study.to_dict(),
    }  # fmt: skip
    return json.dumps(content, indent=1, allow_nan=False, default=str) + "\n"


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Recipe that `recipe_json` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no report.json, one of another format, or its rows are not those that it was made of.

    Examples
    --------
    >>> import tempfile
    >>> import scalefit as sf
    >>> from scalefit.studies import study
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = study(sf.load("pythia"), "pythia", Settings(resamples=10))
    ...     _ = Path(f"{folder}/report.json").write_text(recipe_json(made, {}))
    ...     read_recipe(f"{folder}/report.json").settings.resamples
    10
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        version = content["scalefit_report"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no report.json. `scalefit report` writes one beside its page.") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version!r}, but this version reads {FORMAT}. Make the report again.")
    try:
        for key, kind in PARTS.items():
            _need(key, content[key], kind)
        table, settings = _table(content["table"]), _read_settings(content["settings"])
        digest, name, source, numbers = (
            content["table"]["digest"],
            *(content[k] for k in ("name", "source", "numbers")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}). Make the report again.") from error
    if table.digest != digest:
        raise ValueError(
            f"the rows in {path} are not those that its numbers were made of (digest {table.digest}, not {digest}): "
            "someone changed the file. Make the report again from the table."
        )
    return Recipe(str(name), table, settings, source, numbers, str(content.get("version", "")))


def is_recipe(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a report.json, of whatever version: one that a new report may replace."""
    try:
        return "scalefit_report" in json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def kept_digest(table: LossTable) -> str:
    """Digest of a table as report.json keeps it, which need not keep the kinds of all cells."""
    columns = {name: [_cell(value) for value in table[name].tolist()] for name in table.columns}
    return _table({"notes": [], "columns": json.loads(json.dumps(columns, default=str))}).digest


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[int, list[str]]:
    """How many numbers two studies have, and which of them differ, in words.

    Examples
    --------
    >>> differences({"a": {"b": 1.0, "c": 2.0}}, {"a": {"b": 1.0, "c": 2.5}})
    (2, ['a.c: 2.0 then, 2.5 now'])
    """
    before, after = dict(_leaves("", old)), dict(_leaves("", new))
    found = []
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if not _same(one, other):
            found.append(f"{name}: {one} then, {other} now")
    return len(before), found


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every number by its path; words are not compared."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}".lstrip("."), part)
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from _leaves(f"{name}[{place}]", part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.isclose(one, other, rtol=DIGITS, atol=1e-300, equal_nan=True))


# --- Settings and rows as plain values ---


def _settings(study: Study) -> dict[str, Any]:
    asked = study.settings
    return {
        "model": None if asked.model is None else _model(as_regressor(asked.model, study.table)),
        "inputs": None if asked.inputs is None else list(asked.inputs),
        "weights": asked.weights,
        "scheme": None if asked.scheme is None else {"kind": type(asked.scheme).__name__, **vars(asked.scheme)},
        "resamples": asked.resamples, "seed": asked.seed, "level": asked.level, "network": asked.network,
        "budget": asked.budget,
    }  # fmt: skip


def _model(model: LawRegressor) -> dict[str, Any]:
    objective = model.objective
    return {
        "law": model.law.__name__,
        "objective": None if objective is None else objective_to_dict(objective),
        "fixed": model.fixed,
        "tied": model.tied,
    }


def _need(name: str, value: Any, kind: Any, of: type = object) -> None:
    """Refuse a part of a report.json that is not what `recipe_json` writes there."""
    if not isinstance(value, kind) or (kind is list and not all(isinstance(one, of) for one in value)):
        raise TypeError(f"{name} is {value!r:.80}")


def _read_settings(plain: Mapping[str, Any]) -> Settings:
    model, scheme = plain["model"], plain["scheme"]
    _need("inputs", plain["inputs"] or [], list, str)
    _need("weights", plain["weights"] or "", str)
    _need("network", plain["network"], bool)
    _need("budget", plain["budget"] or 1.0, float)
    made = None
    if scheme is not None:
        made = SCHEMES[scheme["kind"]](**{key: value for key, value in scheme.items() if key != "kind"})
    return Settings(
        None if model is None else _read_model(model), None if plain["inputs"] is None else tuple(plain["inputs"]),
        plain["weights"], made, plain["resamples"], plain["seed"], plain["level"], plain["network"], plain["budget"],
    )  # fmt: skip


def _read_model(plain: Mapping[str, Any]) -> LawRegressor:
    laws = {law.__name__: law for law in LAWS.values()}
    _need("fixed", plain["fixed"] or {}, dict)
    _need("tied", plain["tied"] or {}, dict)
    if plain["law"] not in laws:
        raise ValueError(f"the law {plain['law']!r} is not one that ships; call sf.report with it")
    objective = None if plain["objective"] is None else objective_from_dict(plain["objective"])
    return LawRegressor(laws[plain["law"]], objective=objective, fixed=plain["fixed"], tied=plain["tied"])


def _table(plain: Mapping[str, Any]) -> LossTable:
    _need("notes", plain["notes"], list, str)
    frame = pd.DataFrame(plain["columns"])
    frame.attrs[CHECKED] = True  # it came out of a table: its names are settled
    return replace(LossTable.from_frame(frame), notes=tuple(plain["notes"]))


def _cell(value: Any) -> Any:
    """Cell as JSON has it: what is missing or infinite is null."""
    return None if pd.isna(value) is True or (isinstance(value, float) and not np.isfinite(value)) else value
