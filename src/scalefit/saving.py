"""Saved fits, read back without fitting again."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .arrays import input_column, weight_column
from .columns import CHECKED
from .kernel import AnovaKernelRidge
from .laws import LAWS, Law
from .network import NetworkRegressor
from .objective import objective_from_dict
from .parametric import LawRegressor
from .result import FORMAT, Fit
from .status import Status
from .surface import LogSpace
from .table import LossTable

SURFACES: dict[str, Any] = {"AnovaKernelRidge": AnovaKernelRidge, "NetworkRegressor": NetworkRegressor}


def read_fit(path: str | os.PathLike[str], *, law: type[Law] | None = None) -> Fit:
    """Fit that `Fit.save` wrote: the same numbers, without fitting again.

    Parameters
    ----------
    path : path
    law : Law class, optional
        Needed for a law of your own.

    Raises
    ------
    ValueError
        If the file is not a saved fit, is of another version, or holds a law that is not known.

    Examples
    --------
    >>> import tempfile
    >>> import scalefit as sf
    >>> fitted = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fitted.save(f"{folder}/pythia.json")
    ...     read_fit(f"{folder}/pythia.json").parameters == fitted.parameters
    True
    """
    if law is not None and not (isinstance(law, type) and issubclass(law, Law)):
        raise TypeError(f"law must be a Law class, not {law!r}.")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        version = content["scalefit"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a saved fit; write one with fit.save(path).") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version}, but this version reads {FORMAT}. Fit and save again.")
    known = {cls.__name__: cls for cls in LAWS.values()} | ({law.__name__: law} if law else {})
    try:
        name = str(content["state"]["regressor"] if "state" in content else content["protocol"]["law"])
        readable = name in SURFACES if "state" in content else name in known
        restored = _restore_fit(content, known) if readable else None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}). Fit and save again.") from error
    if restored is None and "state" in content:
        raise ValueError(f"{path} holds the surface {name!r}, which this version cannot read. Fit and save again.")
    if restored is None:
        raise ValueError(f"{path} holds the law {name!r}; pass it as read_fit(path, law={name}).")
    return restored


def _restore_fit(content: dict[str, Any], known: dict[str, type[Law]]) -> Fit:
    protocol = content["protocol"]
    frame = pd.DataFrame(content["columns"])
    frame.attrs[CHECKED] = True  # it came out of a table: its names are settled
    table = LossTable.from_frame(frame)
    notes, digest = protocol["table"]["notes"], protocol["table"]["digest"]
    if table.digest != digest:
        notes = [*notes, f"read from a saved fit, which could not keep every cell of the table {digest}"]
    table = replace(table, notes=tuple(notes))
    inputs, weights = tuple(protocol["inputs"]), protocol["weights"]
    X = np.stack([input_column(table, name) for name in inputs], axis=1)
    frequencies = np.ones(len(table)) if weights is None else weight_column(table, weights)
    if "state" in content:
        model: Any = LogSpace.from_state(content["state"], SURFACES, X, table.loss, frequencies)
    else:
        model = _restore_law(known[protocol["law"]], content)
    return Fit(model, table, inputs, weights)


def _restore_law(law: type[Law], content: dict[str, Any]) -> LawRegressor:
    protocol = content["protocol"]
    objective = objective_from_dict(protocol["objective"])
    rule = protocol["delta_rule"]
    asked = objective_from_dict({**protocol["objective"], "delta": rule}) if isinstance(rule, str) else objective
    model = LawRegressor(law, objective=asked, fixed=protocol["fixed"] or None, tied=protocol["tied"] or None)
    model.law_ = law(**{name: float(value) for name, value in content["parameters"].items()})
    model.objective_ = objective
    model.objective_value_, model.search_ = content["objective_value"], protocol["search"]
    model.findings_ = [(Status[name], about) for name, about in content["findings"]]
    model.status_ = Status[content["status"]]
    model.free_ = tuple(n for n in law.parameters() if n not in protocol["fixed"] and n not in protocol["tied"])
    model.n_features_in_ = len(protocol["inputs"])
    return model
