"""The kernel of a sum of smooth functions, one of each column and one of each pair of columns; arrays alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK = 4_000_000  # numbers in one kernel at new inputs: a bound on memory


@dataclass(frozen=True)
class Anova:
    """sum_j a_j k_j + sum_{i<j} a_ij k_i k_j, with k_j(x, x') = exp(-(x_j - x'_j)^2 / (2 l_j^2)).

    Parameters
    ----------
    main : (k,) array
        Amplitudes a_j.
    interaction : (k (k - 1) / 2,) array
        Amplitudes a_ij, in the order of `itertools.combinations`.
    length_scale : (k,) array
        l_j, in the units of the columns.

    Examples
    --------
    >>> kernel = anova(2, main=1.0, interaction=(0.5,), length_scale=1.0)
    >>> kernel(np.zeros((1, 2)), np.array([[0.0, 0.0], [0.0, 2.0]])).round(4).tolist()
    [[2.5, 1.203]]
    """

    main: Floats
    interaction: Floats
    length_scale: Floats

    def parts(self, X: Floats, Z: Floats) -> Iterator[Floats]:
        """(m, n) kernels of the functions of one column, then of pairs, at X, (m, k), and Z, (n, k)."""
        k = range(len(self.main))
        with np.errstate(over="ignore"):  # far apart is as good as infinitely far
            columns = [np.exp(-0.5 * ((X[:, [j]] - Z[:, j]) / self.length_scale[j]) ** 2) for j in k]
        for j in k:
            yield self.main[j] * columns[j]
        for (i, j), amplitude in zip(combinations(k, 2), self.interaction, strict=True):
            yield amplitude * columns[i] * columns[j]

    def __call__(self, X: Floats, Z: Floats) -> Floats:
        """(m, n) kernel at X, (m, k), and Z, (n, k)."""
        K = np.zeros((len(X), len(Z)))
        for part in self.parts(X, Z):
            K += part
        return K

    def sums(self, X: Floats, Z: Floats, dual: Floats) -> Floats:
        """(m, ...) kernel at X and Z times coefficients of the rows of Z, (n, ...), in blocks of X."""
        return np.concatenate([self(block, Z) @ dual for block in _blocks(X, len(Z))])

    def terms(self, X: Floats, Z: Floats, dual: Floats) -> Floats:
        """(k (k + 1) / 2, m) parts of `sums` of one (n,) dual, in the order of `parts`."""
        return np.concatenate([[part @ dual for part in self.parts(block, Z)] for block in _blocks(X, len(Z))], axis=1)


def _blocks(X: Floats, n: int) -> list[Floats]:
    """Rows of X, (m, k), in blocks whose kernel with n rows is not too large."""
    step = max(1, BLOCK // n)
    return [X[i : i + step] for i in range(0, max(1, len(X)), step)]


def anova(k: int, *, main: Any, interaction: Any, length_scale: Any) -> Anova:
    """Kernel of k columns, of numbers for all or of sequences with one each.

    Raises
    ------
    TypeError, ValueError
        If a number is missing, negative or not finite, if a length is zero, or if all amplitudes are.

    Examples
    --------
    >>> anova(2, main=1.0, interaction=0.0, length_scale=(1.0, 2.0)).length_scale.tolist()
    [1.0, 2.0]
    """
    pairs = [f"columns {i} and {j}" for i, j in combinations(range(k), 2)]
    columns = [f"column {j}" for j in range(k)]
    made = Anova(
        _each("main", main, columns), _each("interaction", interaction, pairs),
        _each("length_scale", length_scale, columns),
    )  # fmt: skip
    if np.any(made.length_scale == 0):
        raise ValueError(f"length_scale must be positive, but is 0 for {columns[int(np.argmin(made.length_scale))]}.")
    if not (made.main.any() or made.interaction.any()):
        missing = "" if pairs else " (one column has no interactions)"
        raise ValueError(f"all amplitudes are zero{missing}, so no function is left. Set main above zero.")
    return made


def _each(name: str, value: Any, of: Sequence[str]) -> Floats:
    """One number for each of the things that are named."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "iuf" and numbers.size:
        raise TypeError(f"{name} must be a number or a sequence of numbers, not {value!r}.")
    numbers = np.full(len(of), float(numbers)) if numbers.ndim == 0 else numbers.astype(float)
    if numbers.shape != (len(of),):
        wanted = f"one for each of {', '.join(of)}" if of else "none, for one column has no pairs"
        raise ValueError(f"{name} must be one number, or {len(of)} ({wanted}), not {value!r}.")
    bad = ~(np.isfinite(numbers) & (numbers >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(f"{name} must be finite and not negative, but is {numbers[at]} for {of[at]}.")
    return numbers
