"""What a law is: a formula whose fields are its parameters, and where a fit looks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .objective import Huber, Objective

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """A formula for the loss whose fields are its parameters; with numbers in it, it is a function.

    A new law is a frozen dataclass with a `value` and, for each parameter, the `bounds` between which the fit looks
    for it (scipy's trust-region solver from many starts drawn between them). Bounds that depend on the runs, as those
    of an amplitude do, are a method `bounds_for`. A sum of powers or exponentials needs less: see `SeparableLaw`.

    Attributes
    ----------
    inputs : tuple of str, or None
        The columns that `value` takes, in order; None means one column, to be named in the fit.
    objective : Objective
        What a fit minimises unless told otherwise.
    bounds : mapping of str to (float, float)
        Finite range of each parameter. Where the lower end is positive, the search goes by the logarithm.

    Examples
    --------
    A law of your own, as a function and as something to fit:

    >>> @dataclass(frozen=True)
    ... class Saturating(Law):
    ...     "E + A / (1 + x / scale)"
    ...     E: float
    ...     A: float
    ...     scale: float
    ...     inputs = ("tokens",)
    ...     bounds = {"E": (0, 10), "A": (0, 100), "scale": (1e3, 1e12)}
    ...
    ...     def value(self, tokens):
    ...         return self.E + self.A / (1 + tokens / self.scale)
    >>> law = Saturating(E=2.0, A=5.0, scale=1e9)
    >>> law(1e9)
    4.5
    >>> law(tokens=[1e9, 4e9]).tolist()
    [4.5, 3.0]
    """

    inputs: ClassVar[tuple[str, ...] | None] = None
    objective: ClassVar[Objective] = Huber("mad_of_loss")
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {}

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the parameters, in the order of the fields."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def bounds_for(cls, X: Floats, y: Floats) -> Mapping[str, tuple[float, float]]:
        """Bounds for inputs X, (n, k) in raw units, and losses y, (n,): `bounds`, unless a law overrides this."""
        return cls.bounds

    @classmethod
    def n_inputs(cls) -> int:
        """Number of input columns."""
        return 1 if cls.inputs is None else len(cls.inputs)

    def value(self, *columns: Any) -> Any:
        """Loss at the input columns (arrays of one shape); the formula that a subclass writes."""
        raise TypeError(f"{type(self).__name__} has no formula: write its method `value(self, *columns)`.")

    def __call__(self, *columns: ArrayLike, **named: ArrayLike) -> Any:
        """Loss at given inputs, by order or by name: a float for numbers, an array for arrays.

        Raises
        ------
        TypeError
            If an input is missing, unknown or given twice.
        """
        arrays = [np.asarray(column, dtype=float) for column in self._in_order(columns, named)]
        value = np.asarray(self.value(*np.broadcast_arrays(*arrays)), dtype=float)
        return float(value) if value.ndim == 0 else value

    def _in_order(self, columns: tuple[ArrayLike, ...], named: dict[str, ArrayLike]) -> list[ArrayLike]:
        names = self.inputs
        if names is None:  # one column of any name
            given = [*columns, *named.values()]
            if len(given) != 1:
                raise TypeError(f"{type(self).__name__} takes one input, not {len(given)}.")
            return given
        if len(columns) + len(named) != len(names) or set(named) != set(names[len(columns) :]):
            shown = [f"{len(columns)} by order"] * bool(columns) + sorted(named)
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(names)}; it was given {', '.join(shown) or 'none'}."
            )
        return [*columns, *(named[name] for name in names[len(columns) :])]

    def to_dict(self) -> dict[str, float]:
        """Parameters by name."""
        return {name: getattr(self, name) for name in self.parameters()}


@dataclass(frozen=True)
class Term:
    """One term A exp(-alpha g(x)) of a separable law: a power of x for g = log, an exponential for g = identity.

    Parameters
    ----------
    amplitude, exponent : str
        Names of the two fields of the law.
    column : int
        Which of the law's inputs x is.
    g : {"log", "identity"}

    Examples
    --------
    >>> Term("A", "alpha", g="identity").scale([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """

    amplitude: str
    exponent: str
    column: int = 0
    g: Literal["log", "identity"] = "log"

    def scale(self, column: ArrayLike) -> Floats:
        """g(x): the coordinate in which the term is exponential."""
        x = np.asarray(column, dtype=float)
        return np.log(x) if self.g == "log" else x


@dataclass(frozen=True)
class SeparableLaw(Law):
    """E + sum_k A_k exp(-alpha_k g_k(x)): a subclass lists its terms; value and global batched fit follow.

    There are one to three terms. The offset is the field E; each other field belongs to one term. Amplitudes and
    exponents are positive: the loss falls in every column.

    Examples
    --------
    Two powers of one column, ready to be fitted:

    >>> @dataclass(frozen=True)
    ... class TwoPowers(SeparableLaw):
    ...     E: float
    ...     A: float
    ...     B: float
    ...     alpha: float
    ...     beta: float
    ...     inputs = ("tokens",)
    ...     terms = (Term("A", "alpha"), Term("B", "beta"))
    >>> TwoPowers(E=1.0, A=2.0, B=3.0, alpha=1.0, beta=2.0)(2.0)
    2.75
    """

    terms: ClassVar[tuple[Term, ...]] = ()

    def value(self, *columns: Any) -> Any:
        """E plus the terms, at arrays of one shape."""
        total = np.full(np.shape(columns[0]), float(getattr(self, "E")))  # noqa: B009 - E is a subclass's field
        for term in self.terms:
            x = np.asarray(columns[term.column], dtype=float)
            # exp of a sum of logs: neither A nor x^-alpha alone may overflow
            amplitude, exponent = getattr(self, term.amplitude), getattr(self, term.exponent)
            with np.errstate(divide="ignore"):
                total = total + np.exp(np.log(amplitude) - exponent * term.scale(x))
        return total


def input_names(law: type[Law], n_columns: int) -> tuple[str, ...]:
    """Names of the columns that a law takes; "x" where it leaves the choice."""
    return law.inputs or ("x",) * n_columns
