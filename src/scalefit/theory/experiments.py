"""Experiments of the percolation theory: regressions on clusters, as tables of losses that a law is fitted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .clusters import Forest, grow_clusters
from .guards import whole
from .model_scaling import harmonic, optimal_allocation, rank_exponent
from .nearest import cluster_losses, draw_training, scale_factor
from .targets import branching_targets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Progress: TypeAlias = Callable[[int, int], None]

ALPHA, MANIFOLD = 1.0, 0.5  # of clusters above six dimensions, and c / D of a piecewise constant regression: 2 / 4
STEPS = 9  # sizes of a model, or of the data, per seed; ours
FEWEST = 10  # degrees of freedom and samples that scaling starts from; ours
NU_RANGE, BREAK_RANGE = 0.5, 4.0  # of random allocations around the optimum: nu +- 0.5, k_b by a factor of 4; ours
QUANTILES = {"loss_p16": 0.16, "loss": 0.5, "loss_p84": 0.84}


@dataclass(frozen=True)
class Preset:
    """How many clusters there are, and the limits of their sizes; as many as make one of the largest size expected."""

    clusters: int
    smallest: int
    largest: int


#: "paper" has the number of clusters of arXiv:2412.07942; its limits, and the smaller ones, are ours.
PRESETS = {
    "small": Preset(clusters=32, smallest=100, largest=100_000),
    "medium": Preset(clusters=100, smallest=100, largest=1_000_000),
    "paper": Preset(clusters=316, smallest=100, largest=10_000_000),
}


@dataclass(frozen=True, eq=False)
class Realisation:
    """Clusters with targets, and how many training sites are worth a degree of freedom in each.

    Attributes
    ----------
    forest : Forest
    values : (n,) array
        Targets, standardised within each cluster.
    factors : (k,) array
        Scale factor of each cluster (Eq. 13 of arXiv:2412.07942).
    """

    forest: Forest
    values: Floats
    factors: Floats

    @classmethod
    def draw(cls, preset: str, *, seed: int) -> Realisation:
        """Clusters and targets, with the scale factors of one learning curve of each cluster."""
        if preset not in PRESETS:
            raise ValueError(f"preset is one of {', '.join(PRESETS)}, not {preset!r}.")
        made = PRESETS[preset]
        growth, walk, curves = _seeds(seed, 3)
        forest = grow_clusters(made.clusters, smallest=made.smallest, largest=made.largest, seed=growth)
        values = branching_targets(forest, seed=walk)
        frame = learning_curves(forest, values, seed=curves)
        groups = frame.groupby("cluster", sort=True)
        factors = [scale_factor(group["points"], group["loss"]) for _, group in groups]
        return cls(forest=forest, values=values, factors=np.array(factors))

    @property
    def by_rank(self) -> Ints:
        """Clusters by size, the largest first."""
        return np.argsort(-self.forest.sizes, kind="stable")

    @property
    def shares(self) -> Floats:
        """Share of all sites that each cluster has: how often a sample is from it, and what its loss counts."""
        return np.asarray(self.forest.sizes / self.forest.sizes.sum())

    def measure(self, degrees: Any, *, seed: int) -> dict[str, float]:
        """Loss where each cluster is given so many degrees of freedom, one training site for each times its factor.

        No cluster is trained on more than half of its sites, so that there are others to test on.

        Parameters
        ----------
        degrees : (k,) array
            n_k, in the order of the clusters in the forest.
        seed : int
            Of the training sites.

        Returns
        -------
        dict
            `loss`, over the test sites of all clusters by their shares; `predicted`, the same by Eq. 13, that is
            ``min(1, n_k^(-1/2))``; `sites` of training; `full`, clusters that were given no more than half.
        """
        n = np.asarray(degrees, dtype=float)
        asked, half = np.rint(self.factors * n).astype(np.int64), self.forest.sizes // 2
        points = np.minimum(asked, half)
        losses = cluster_losses(self.forest, self.values, training=draw_training(self.forest, points, seed=seed))
        return {
            "loss": float(self.shares @ losses),
            "predicted": float(self.shares @ np.maximum(n, 1.0) ** -MANIFOLD),
            "sites": int(points.sum()),
            "full": int(np.sum(asked > half)),
        }


def learning_curves(forest: Forest, values: Floats, *, seed: int = 0) -> pd.DataFrame:
    """Losses of each cluster over 1, 2, 4, ... training sites, up to a quarter of its sites.

    Parameters
    ----------
    forest : Forest
        Of clusters of 4 sites and more.
    values : (n,) array
        Targets, standardised within each cluster.
    seed : int
        Of the training sites, which are drawn anew for each number of them.

    Returns
    -------
    DataFrame
        Columns `cluster`, `size` (its sites), `points` (training sites) and `loss`.

    Raises
    ------
    ValueError
        If a cluster has fewer than 4 sites.

    Examples
    --------
    >>> forest = grow_clusters(2, smallest=30, largest=60, seed=0)
    >>> curves = learning_curves(forest, branching_targets(forest, seed=0))
    >>> curves[curves["cluster"] == 0]["points"].tolist()
    [1, 2, 4]
    """
    few = int(np.sum(forest.sizes < 4))
    if few:
        raise ValueError(f"a learning curve takes 4 sites or more, but {few} of {len(forest)} clusters have fewer.")
    points = 1 << np.arange(int(forest.sizes.max() // 4).bit_length())
    rows = []
    for number, child in zip(points.tolist(), _seeds(seed, points.size), strict=True):
        enough = np.flatnonzero(number <= forest.sizes // 4)
        asked = np.where(number <= forest.sizes // 4, number, 0)
        losses = cluster_losses(forest, values, training=draw_training(forest, asked, seed=child))[enough]
        rows.append(pd.DataFrame({"cluster": enough, "size": forest.sizes[enough], "points": number, "loss": losses}))
    return pd.concat(rows).sort_values(["cluster", "points"], ignore_index=True)


def allocation_runs(
    number: int = 2000, *, preset: str = "small", seed: int = 0, progress: Progress | None = None
) -> pd.DataFrame:
    """Losses of random allocations of a model's degrees of freedom, around the optimal one (Fig. 5 of [1]_).

    The largest k_b clusters get ``n_k = (n / H) k^-nu``. In the first row nu and k_b are the optimal ones; the others
    have nu within 0.5 of it and k_b within a factor of 4, evenly and by its logarithm. n is such that the optimal k_b
    is a quarter of all clusters. Training sites are drawn anew for every row, of one set of clusters.

    Parameters
    ----------
    number : int
        Random allocations; the paper has 2000.
    preset : {"small", "medium", "paper"}
        A row takes about 0.01 s, 0.1 s and 1 s.
    seed : int
    progress : function of (done, all), optional
        Called after every row.

    Returns
    -------
    DataFrame
        Columns `params` (n, the same in all rows), `loss`, `nu`, `clusters` (k_b), and `predicted`, `sites` and `full`
        of `Realisation.measure`.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942. The ranges are not from the paper (values unknown).

    Examples
    --------
    >>> runs = allocation_runs(3, seed=0)
    >>> runs.shape, runs["nu"].round(3).tolist()[0], runs["clusters"].tolist()[0]
    ((4, 7), 1.333, 8)
    """
    number = whole("number", number, least=1)
    ground, draws, rows = _seeds(seed, 3)
    made = Realisation.draw(preset, seed=ground)
    best_nu, best_break = rank_exponent(ALPHA, MANIFOLD), len(made.forest) // 4
    n = _params_at(best_break)
    rng = np.random.default_rng(draws)
    nu = np.append(best_nu, rng.uniform(best_nu - NU_RANGE, best_nu + NU_RANGE, number))
    factor = np.append(1.0, BREAK_RANGE ** rng.uniform(-1, 1, number))
    breaks = np.clip(np.rint(best_break * factor), 1, len(made.forest)).astype(int)
    found = []
    for row, child in enumerate(_seeds(rows, number + 1)):
        ranks = np.arange(1.0, breaks[row] + 1)
        weights = ranks ** -nu[row]
        degrees = np.zeros(len(made.forest))
        degrees[made.by_rank[: breaks[row]]] = n * weights / weights.sum()
        found.append({"params": n, "nu": nu[row], "clusters": breaks[row], **made.measure(degrees, seed=child)})
        if progress is not None:
            progress(row + 1, number + 1)
    return pd.DataFrame(found)


def scaling_runs(
    of: Literal["model", "data"],
    *,
    seeds: int = 50,
    preset: str = "small",
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Losses over the size of a model or of its data, for many seeds (Fig. 6 of [1]_).

    Of a model, n degrees of freedom are allocated as is optimal for clusters whose sizes fall as rank^-2. Of data, D
    samples fall on the clusters by their sizes, and m_k samples are as good as m_k degrees of freedom. Each seed has
    clusters, targets and training sites of its own.

    Parameters
    ----------
    of : {"model", "data"}
        Which.
    seeds : int
        Realisations; the paper has 50.
    preset : {"small", "medium", "paper"}
        A seed takes about 0.4 s, 2 s and half a minute.
    seed : int
        Run r depends on this seed and r alone.
    progress : function of (done, all), optional
        Called after every seed.

    Returns
    -------
    DataFrame
        Columns `params` (n) or `tokens` (D), `loss`, `seed` (r), and `predicted`, `sites` and `full` of
        `Realisation.measure`.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942. That samples too count by the scale factor of their cluster is ours.

    Examples
    --------
    >>> runs = scaling_runs("model", seeds=1)
    >>> runs.columns.tolist()
    ['params', 'seed', 'loss', 'predicted', 'sites', 'full']
    """
    if of not in ("model", "data"):
        raise ValueError(f"scaling is of a model or of data, not of {of!r}.")
    seeds = whole("seeds", seeds, least=1)
    found: list[dict[str, float]] = []
    for run, child in enumerate(_seeds(seed, seeds)):
        ground, *each = _seeds(child, 1 + STEPS)
        made = Realisation.draw(preset, seed=ground)
        column, sizes, spread = ("params", _model_sizes(made), _by_theory) if of == "model" else (
            "tokens", _data_sizes(made), _by_chance,
        )  # fmt: skip
        for size, draw in zip(sizes, each, strict=True):
            chances, sites = _seeds(draw, 2)
            degrees = spread(made, size, chances)
            found.append({column: size, "seed": run, **made.measure(degrees, seed=sites)})
        if progress is not None:
            progress(run + 1, seeds)
    return pd.DataFrame(found)


def percentiles(runs: pd.DataFrame) -> pd.DataFrame:
    """Median loss of each size over the seeds, between its 16th and 84th percentiles.

    Parameters
    ----------
    runs : DataFrame
        Of `scaling_runs`.

    Returns
    -------
    DataFrame
        Columns `params` or `tokens`, `loss` (the median), `loss_p16`, `loss_p84` and `seeds`.

    Examples
    --------
    >>> frame = pd.DataFrame({"params": [10, 10, 10, 90], "seed": [0, 1, 2, 0], "loss": [0.5, 0.6, 0.9, 0.2]})
    >>> percentiles(frame).values.round(3).tolist()
    [[10.0, 0.532, 0.6, 0.804, 3.0], [90.0, 0.2, 0.2, 0.2, 1.0]]
    """
    column = "params" if "params" in runs else "tokens"
    groups = runs.groupby(column)["loss"]
    columns = {name: groups.quantile(share) for name, share in QUANTILES.items()}
    return pd.DataFrame({**columns, "seeds": groups.size()}).reset_index()


def _params_at(rank: int) -> float:
    """Degrees of freedom of which the optimal allocation reaches a rank."""
    nu, smallest = rank_exponent(ALPHA, MANIFOLD), (1 + MANIFOLD) ** (1 / MANIFOLD)
    return float(smallest * rank**nu * harmonic(rank, nu))


def _model_sizes(made: Realisation) -> Floats:
    """Up to those of which the optimal allocation reaches all clusters."""
    return np.geomspace(FEWEST, _params_at(len(made.forest)), STEPS)


def _data_sizes(made: Realisation) -> Ints:
    """Up to those of which one falls on the smallest cluster."""
    return np.rint(np.geomspace(FEWEST, len(made.forest) ** (ALPHA + 1), STEPS)).astype(np.int64)


def _by_theory(made: Realisation, size: float, _: int) -> Floats:
    """Degrees of freedom of the optimal allocation, for each cluster."""
    best = optimal_allocation(size, alpha=ALPHA, manifold=MANIFOLD).sizes[: len(made.forest)]
    degrees = np.zeros(len(made.forest))
    degrees[made.by_rank[: best.size]] = best
    return degrees


def _by_chance(made: Realisation, size: float, seed: int) -> Floats:
    """Samples that fall on each cluster."""
    return np.random.default_rng(seed).multinomial(int(size), made.shares).astype(float)


def _seeds(seed: int, number: int) -> list[int]:
    """Seeds that follow from one; the first are the same however many there are."""
    return [int(each) for each in np.random.SeedSequence(seed).generate_state(number, np.uint64)]
