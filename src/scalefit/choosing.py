"""Which law a table can hold, and which number of it is worth questioning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .derived import allocation_exponent
from .fitting import as_regressor, fit
from .formula import SeparableLaw
from .laws import Chinchilla, PowerLaw
from .parts import Statistic
from .status import Status
from .table import LossTable

PLANE = ("params", "tokens")
VARIED = 1e-3  # of log counts, beyond which an input varies: that of slices
HOPELESS = {
    Status.COLLINEAR: "Params and tokens move together in these runs, so a law of both is not identified",
    Status.TOO_FEW_VALUES: "Params or tokens have too few values for a law of both",
}


@dataclass(frozen=True)
class Choice:
    """A model, the columns that it takes, and the number that stands for it.

    Attributes
    ----------
    model : Law class or regressor
    inputs : tuple of str
    statistic : str or callable
        The allocation exponent of a law of params and tokens, the exponent of a law of one input.
    notes : tuple of str
        Why it is not a law of both params and tokens.

    Examples
    --------
    >>> Choice(PowerLaw, ("params",), "alpha").statistic
    'alpha'
    """

    model: Any
    inputs: tuple[str, ...]
    statistic: Statistic
    notes: tuple[str, ...] = ()


def choose_model(
    table: LossTable, model: Any = None, inputs: str | Sequence[str] | None = None, weights: str | None = None
) -> Choice:  # fmt: skip
    """The model that is asked for, or the law of as many inputs as the table tells apart.

    Parameters
    ----------
    table : LossTable
    model : Law class or LawRegressor, optional
        By default Chinchilla, where params and tokens vary and can be told apart; otherwise a power of flops where both
        vary, of the one that varies where one does.
    inputs : str or sequence of str, optional
        Columns that the model takes.
    weights : str, optional
        Column of frequencies.

    Raises
    ------
    TypeError
        If the model is not a law.
    ValueError
        If no input varies, or an input is no column.

    Examples
    --------
    >>> import scalefit as sf
    >>> chosen = choose_model(sf.load("cerebras_gpt").where("family == cerebras-gpt"))
    >>> chosen.model.__name__, chosen.inputs
    ('PowerLaw', ('flops',))
    >>> chosen.notes[0]
    'Params and tokens move together in these runs, so a law of both is not identified; this is one of flops.'
    """
    names = (inputs,) if isinstance(inputs, str) else None if inputs is None else tuple(inputs)
    if model is not None:
        return _asked(table, model, names)
    if names is not None:
        return _asked(table, Chinchilla if len(names) == 2 else PowerLaw, names)
    varied = [name for name in table.inputs if np.ptp(np.log(table[name])) > VARIED]
    if not varied:
        raise ValueError(
            f"no input varies: {', '.join(f'{name} is {table[name][0]:.4g}' for name in table.inputs)} in all "
            f"{len(table)} rows. A scaling law needs runs of several sizes."
        )
    both = set(PLANE) <= set(varied)
    if both and len(table) >= len(Chinchilla.parameters()):
        status = fit(Chinchilla, table, weights=weights).status
        if status not in HOPELESS:
            return Choice(Chinchilla, PLANE, allocation_exponent)
        why = f"{HOPELESS[status]}; this is one of {{}}."
    elif both:
        why = f"{len(table)} rows are too few for a law of params and tokens; this is one of {{}}."
    else:
        constant = [name for name in PLANE if name in table and name not in varied]
        why = f"All runs have the same {' and '.join(constant)}; this is a law of {{}}." if constant else ""
    one = "flops" if both and "flops" in varied else varied[0]
    return Choice(PowerLaw, (one,), "alpha", (why.format(one),) if why else ())


def _asked(table: LossTable, model: Any, inputs: tuple[str, ...] | None) -> Choice:
    """The model as it is, with the columns that it takes by default."""
    regressor = as_regressor(model, table)
    if not hasattr(regressor, "law"):
        raise TypeError(f"a report is of a law, such as Chinchilla or PowerLaw, not of {model!r}.")
    law = regressor.law
    if inputs is None and law.inputs is None and len(table.inputs) > 1:
        varied = [name for name in table.inputs if np.ptp(np.log(table[name])) > VARIED]
        inputs = ((varied or list(table.inputs))[0],)
    inputs = inputs or law.inputs or table.inputs
    if set(inputs) == set(PLANE):
        return Choice(model, inputs, allocation_exponent)
    free = regressor.free_parameters()
    exponents = [term.exponent for term in law.terms] if issubclass(law, SeparableLaw) else list(law.parameters())[::-1]
    return Choice(model, inputs, next((name for name in exponents if name in free), free[0] if free else "E"))
