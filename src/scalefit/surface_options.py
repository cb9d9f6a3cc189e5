"""The options of surfaces and of validation: which models with which settings, which rows, which picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import option, pairs, usage

SURFACES = ("kernel", "network")
CURVES = {"curves": "tokens", "curves-params": "params"}  # column that varies in a slice
SETTINGS = "NAME[:setting=value...]"


class PlaneLaw(StrEnum):
    """Laws of params and tokens."""

    chinchilla = "chinchilla"
    kaplan = "kaplan"


PLANE_LAWS = tuple(law.value for law in PlaneLaw)


SURFACE_OPTION = option(
    "Model", "Surface without a formula: kernel or network, with settings after colons: "
    "kernel:ridge=1e-4.", "--model", metavar=SETTINGS,
)  # fmt: skip
Contenders = Annotated[
    list[str],
    option(
        "Model", f"One of {', '.join((*PLANE_LAWS, *SURFACES, *CURVES))}; of surfaces with settings, such as "
        "kernel:ridge=1e-4. curves is L(D) at each N, curves-params L(N) at each D. Repeatable: the first is what the "
        "others are compared with.", "--model", metavar=SETTINGS,
    ),
]  # fmt: skip
Plot = Annotated[
    Path | None,
    option("Output", "Draw the result, as the end of the name says: .png, .svg or .pdf.", "--plot", metavar="FILE"),
]
Splits = Annotated[
    str | None,
    option(
        "Rows", "Random splits, 80 % to train on and 20 % to test on, 20 by default; each: one group of --by at a time "
        "is tested.", "--cv", metavar="COUNT|each",
    ),
]  # fmt: skip
Groups = Annotated[
    str | None, option("Rows", "Column whose equal values stay together, such as params.", "--by", metavar="COLUMN")
]
Above = Annotated[
    str | None,
    option("Rows", "Train below a value, test from there on.", "--above", metavar="flops=1e20"),
]
SplitSeed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Of random splits; 0 by default.", rich_help_panel="Rows"),
]


def surface_model(spec: str) -> Any:
    """Unfitted surface of a name and its settings."""
    name, *settings = (part.strip() for part in spec.split(":"))
    if name not in SURFACES:
        raise usage("--model", f"there is no surface {name!r}; there are {' and '.join(SURFACES)}.")
    if name == "kernel":
        from .kernel import AnovaKernelRidge

        regressor: Any = AnovaKernelRidge()
    else:
        from .network import NetworkRegressor

        regressor = NetworkRegressor()
    defaults = regressor.get_params()
    given = {key.replace("-", "_"): text for key, text in pairs("--model", settings).items()}
    for key in given:
        if key not in defaults:
            known = ", ".join(f"{other}={value}" for other, value in defaults.items())
            raise usage("--model", f"{name} has no setting {key!r}; it has {known}.")
    return regressor.set_params(**{key: _setting(key, text, defaults[key]) for key, text in given.items()})


def _setting(key: str, text: str, default: Any) -> Any:
    """Value of a setting, of the type of its default; where that is a float, also one for each column."""
    try:
        if isinstance(default, str | int):
            return type(default)(text)
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        what = "a whole number" if isinstance(default, int) else "a number, or one for each column: 1,0.5"
        raise usage("--model", f"{key} must be {what}, not {text!r}.") from None
    return numbers[0] if len(numbers) == 1 else numbers


def contenders(specs: Sequence[str]) -> dict[str, Any]:
    """Unfitted models by the text that asked for them."""
    found: dict[str, Any] = {}
    for spec in specs:
        if spec in found:
            raise usage("--model", f"{spec!r} is given twice; its scores would be the same.")
        found[spec] = _contender(spec)
    return found


def _contender(spec: str) -> Any:
    from .laws import LAWS, PowerLaw

    name, colon, _ = spec.partition(":")
    known = (*PLANE_LAWS, *SURFACES, *CURVES)
    if name not in known:
        raise usage("--model", f"there is no model {name!r}; there are {', '.join(known)}.")
    if name in SURFACES:
        return surface_model(spec)
    if colon:
        raise usage("--model", f"{name} has no settings; those of {' and '.join(SURFACES)} follow a colon.")
    if name in CURVES:
        from .slices import SlicedLaw

        return SlicedLaw(PowerLaw, along=CURVES[name])
    return LAWS[name]


def rows(splits: str | None, by: str | None, above: str | None, seed: int | None) -> dict[str, Any]:
    """Which rows are trained on and which are tested on, as `validate` takes it."""
    if above is not None:
        if splits is not None or by is not None or seed is not None:
            raise usage("--above", "is one split of its own; leave out --cv, --by and --seed.")
        return {"cv": _extrapolation(above)}
    if splits == "each":
        if by is None:
            raise usage("--cv", "each needs --by: the column of the groups, such as params.")
        if seed is not None:
            raise usage("--seed", "is of random splits, and --cv each has none.")
        from sklearn.model_selection import LeaveOneGroupOut

        return {"cv": LeaveOneGroupOut(), "groups": by}
    if splits is not None and not (splits.isdecimal() and int(splits) >= 1):
        raise usage("--cv", f"must be a number of random splits from 1 on, or each, not {splits!r}.")
    return {"cv": int(splits or 20), "groups": by, "seed": seed or 0}


def _extrapolation(text: str) -> Any:
    from .splits import Extrapolation

    (name, value), *more = pairs("--above", [text]).items()
    if more or name not in ("params", "tokens", "flops"):
        raise usage("--above", f"needs one of params, tokens and flops, such as flops=1e20, not {text!r}.")
    try:
        cut = float(value)
    except ValueError:
        cut = math.nan
    if not 0 < cut < math.inf:
        raise usage("--above", f"{name} must be a positive number, not {value!r}.")
    return Extrapolation(**{name: cut})
