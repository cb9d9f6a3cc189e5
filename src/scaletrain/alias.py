"""Alias tables: one draw from any of many discrete distributions with two reads of memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESOLUTION = 1 << 32  # probabilities are thresholds of 32 bits


def alias_tables(indptr: Ints, probabilities: Floats) -> tuple[Ints, Ints]:
    """Thresholds and aliases of the rows of a sparse matrix of distributions.

    A slot of a row is drawn evenly; a number of 32 bits below its threshold keeps it, else its alias is taken. The
    tables of all rows are built side by side, a slot of each at a time [1]_.

    Parameters
    ----------
    indptr : (n + 1,) array
        Where each row begins; no row is empty.
    probabilities : (m,) array
        Each row sums to 1.

    Returns
    -------
    thresholds : (m,) array
        From 0 to 2^32.
    aliases : (m,) array
        Slots, counted from the first of the row.

    References
    ----------
    .. [1] Vose 1991, IEEE Transactions on Software Engineering 17, in the order of Huebschle-Schneider and Sanders
       2022, ACM Transactions on Mathematical Software 48.

    Examples
    --------
    >>> alias_tables(np.array([0, 2]), np.array([0.25, 0.75]))[0] / 2**32
    array([0.5, 1. ])
    """
    sizes = np.diff(indptr)
    starts = indptr[:-1]
    rows = np.repeat(np.arange(len(sizes)), sizes)
    scaled = probabilities * np.repeat(sizes, sizes)
    heavy = scaled >= 1
    order = np.lexsort((heavy, rows))  # within each row the light slots first
    lights = np.bincount(rows[~heavy], minlength=len(sizes))
    share, alias = np.ones(len(scaled)), np.arange(len(scaled)) - np.repeat(starts, sizes)
    active = np.flatnonzero((lights > 0) & (lights < sizes))
    light, donor = starts[active].copy(), starts[active] + lights[active]
    end_light, end = donor.copy(), starts[active] + sizes[active]
    left = scaled[order[donor]]  # what the donor has left
    while len(active):
        fills = (left > 1) & (light < end_light)  # else the donor itself became light, and the next one fills it
        donates = ~fills & (donor + 1 < end)
        slot, giver = order[light[fills]], order[donor[fills]]
        share[slot], alias[slot] = scaled[slot], giver - starts[active[fills]]
        left[fills] -= 1 - scaled[slot]
        light[fills] += 1
        spent, giver = order[donor[donates]], order[donor[donates] + 1]
        share[spent] = np.minimum(left[donates], 1.0)
        alias[spent] = giver - starts[active[donates]]
        left[donates] = scaled[giver] - (1 - share[spent])
        donor[donates] += 1
        on = fills | donates
        active, light, donor, end_light, end, left = (
            values[on] for values in (active, light, donor, end_light, end, left)
        )
    return np.asarray(np.rint(np.clip(share, 0, 1) * RESOLUTION), dtype=np.int64), np.asarray(alias, dtype=np.int64)
