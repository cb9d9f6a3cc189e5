"""The convex hull of the runs: where a surface without a formula has something to say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SLACK = 1e-9  # of the spread of the runs: corners are inside
FLAT = 1e-7  # spread of a direction, relative to the largest, that is none


@dataclass(frozen=True, eq=False)
class Hull:
    """Convex hull of n points in k dimensions, also of points on a line or in a plane.

    Attributes
    ----------
    center : (k,) array
    axes : (k, r) array
        Directions in which the points spread, r of them, each scaled by its spread.
    normals : (f, r + 1) array
        Facets, as normals and offsets: inside, ``normals[:, :-1] @ x + normals[:, -1] <= 0``.
    flat : (k, k - r) array
        Directions in which they do not, scaled by the largest spread.

    Examples
    --------
    >>> triangle = hull_of(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> triangle.contains(np.array([[0.2, 0.2], [0.5, 0.5], [0.6, 0.6]])).tolist()
    [True, True, False]
    >>> triangle.rank
    2
    """

    center: Floats
    axes: Floats
    normals: Floats
    flat: Floats

    @property
    def rank(self) -> int:
        """Dimensions that the points span."""
        return int(self.axes.shape[1])

    def contains(self, points: Floats) -> Bools:
        """(m,) whether each of (m, k) points is inside, corners and edges included."""
        moved = points - self.center
        inside = np.all(np.abs(moved @ self.flat) <= FLAT, axis=1)
        if self.rank:
            distance = (moved @ self.axes) @ self.normals[:, :-1].T + self.normals[:, -1]
            inside &= np.all(distance <= SLACK, axis=1)
        return np.asarray(inside, dtype=bool)


def hull_of(points: Floats) -> Hull:
    """Convex hull of (n, k) points.

    Examples
    --------
    >>> on_a_line = hull_of(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    >>> on_a_line.rank, on_a_line.contains(np.array([[1.5, 1.5], [1.5, 1.4], [3.0, 3.0]])).tolist()
    (1, [True, False, False])
    """
    center, axes, flat = _directions(points)
    inner = (points - center) @ axes
    if inner.shape[1] >= 2:
        normals = ConvexHull(inner).equations
    elif inner.shape[1] == 1:
        normals = np.array([[1.0, -inner.max()], [-1.0, inner.min()]])
    else:
        normals = np.empty((0, 1))
    return Hull(center, axes, normals, flat)


def dimensions(points: Floats) -> int:
    """Number of dimensions that (n, k) points span.

    Examples
    --------
    >>> dimensions(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    1
    """
    return int(_directions(points)[1].shape[1])


def _directions(points: Floats) -> tuple[Floats, Floats, Floats]:
    """Center, scaled directions in which points spread, and scaled directions in which they do not."""
    center = points.mean(axis=0)
    missing = max(0, points.shape[1] - len(points))  # rows of zeros, so that every direction is among the answers
    _, spreads, directions = np.linalg.svd(np.pad(points - center, ((0, missing), (0, 0))), full_matrices=False)
    spreads = spreads / np.sqrt(len(points))
    unit, size = max(float(spreads.max()), 1e-300), 1 + float(np.abs(points).max())
    real = spreads > max(FLAT * unit, 1e-12 * size)
    return center, directions[real].T / spreads[real], directions[~real].T / (unit if real.any() else size)
