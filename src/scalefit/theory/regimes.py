"""What percolation theory predicts when: regimes of p, limits that are earlier theories, curves of exponents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from .cluster_laws import MEAN_FIELD, Universality
from .guards import positive, probability
from .percolation import DataScaling, ModelScaling, local_exponent

if TYPE_CHECKING:
    import pandas as pd

QUANTA = "quanta: Michaud et al. 2023"
RANKED = "quanta, table lookup: Hutter 2021, Michaud et al. 2023"
MANIFOLD = "one manifold: Sharma and Kaplan 2020, Bahri et al. 2021"
BETWEEN = "neither: the two limits meet, with a logarithm"
AT_CRITICAL = 1e-12  # relative distance at which p is p_c

MANIFOLDS = (0.25, 0.5, 0.75, 1.0, 2.0)  # not from the paper (values unknown); on both sides of the transitions
ALPHAS = (0.5, 1.0, 2.0)  # not from the paper (values unknown); 1 is that of high dimensions


@dataclass(frozen=True)
class Regime:
    """What the theory predicts at one p.

    Attributes
    ----------
    name : {"subcritical", "critical", "supercritical"}
    model_exponent, data_exponent : float
        Of the loss over degrees of freedom, and over samples.
    model_theory, data_theory : str
        The earlier theory that predicts the same.
    cutoff : float, sites
        Size of finite clusters beyond which these are exponentially rare; below p_c scaling ends there.
    """

    name: Literal["subcritical", "critical", "supercritical"]
    model_exponent: float
    data_exponent: float
    model_theory: str
    data_theory: str
    cutoff: float


def regime(
    p: float, *, p_c: float, c: float, universality: Universality = MEAN_FIELD, space: float | None = None
) -> Regime:
    """What the theory predicts at a probability p of open bonds (Table 1 of arXiv:2412.07942).

    Up to p_c clusters of all sizes, up to a cut-off, are learned in order of size. Above it a single infinite
    cluster, of the dimension of the space, takes all.

    Parameters
    ----------
    p, p_c : float, between 0 and 1
        See `critical_probability` for a Bethe lattice.
    c : float
        Approximation constant, 2 for constant pieces and 4 for linear ones.
    universality : Universality
        Exponents of the clusters; those of high dimensions by default.
    space : float, optional
        Dimension of the space, needed above p_c.

    Raises
    ------
    ValueError
        If p or p_c is not between 0 and 1, c or space not positive, or space missing above p_c.

    Examples
    --------
    >>> found = regime(1 / 11, p_c=1 / 11, c=2)
    >>> found.name, found.model_exponent, found.data_exponent, found.data_theory
    ('critical', 0.5, 0.5, 'neither: the two limits meet, with a logarithm')
    >>> regime(0.2, p_c=1 / 11, c=4, space=6).model_exponent == 4 / 6
    True
    """
    distance = probability(p) - probability(p_c)
    critical = abs(distance) <= AT_CRITICAL * p_c
    cutoff = np.inf if critical else universality.cutoff(abs(distance))
    if distance > 0 and not critical:
        if space is None:
            raise ValueError(f"p = {p:g} is above p_c = {p_c:g}: give space, the dimension of the infinite cluster.")
        exponent = positive("c", c) / positive("space", space)
        return Regime("supercritical", exponent, exponent, MANIFOLD, MANIFOLD, cutoff)
    alpha, manifold = universality.alpha, universality.manifold(c)
    return Regime(
        name="critical" if critical else "subcritical",
        model_exponent=ModelScaling(alpha, manifold).exponent,
        data_exponent=DataScaling(alpha, manifold).exponent,
        model_theory=_theory(manifold, alpha, QUANTA),
        data_theory=_theory(manifold, alpha / (alpha + 1), RANKED),
        cutoff=cutoff,
    )


def limits() -> pd.DataFrame:
    """Which earlier theory each limit is (Table 1 of [1]_, reconstructed): where, of what, the exponent, whose [2]_.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942.
    .. [2] Michaud et al. 2023, arXiv:2303.13506; Hutter 2021, arXiv:2102.04074; Sharma and Kaplan 2020,
       arXiv:2004.10802; Bahri et al. 2021, arXiv:2102.06701.

    Examples
    --------
    >>> limits()[["where", "of", "exponent"]].values.tolist()[0]
    ['p <= p_c, c/D > alpha', 'model', 'alpha']
    """
    import pandas as pd

    rows = [
        ("p <= p_c, c/D > alpha", "model", "alpha", QUANTA),
        ("p <= p_c, c/D > alpha / (alpha + 1)", "data", "alpha / (alpha + 1)", RANKED),
        ("p <= p_c, c/D < alpha", "model", "c/D", MANIFOLD),
        ("p <= p_c, c/D < alpha / (alpha + 1)", "data", "c/D", MANIFOLD),
        ("p > p_c", "model and data", "c/d, d of the space", MANIFOLD),
    ]
    return pd.DataFrame(rows, columns=["where", "of", "exponent", "theory"])


def exponent_curves(
    of: Literal["model", "data"],
    *,
    alpha: float = 1.0,
    manifolds: Sequence[float] = MANIFOLDS,
    at: ArrayLike | None = None,
) -> pd.DataFrame:
    """Local exponents over degrees of freedom or samples, as Fig. 2 and 3 of arXiv:2412.07942.

    Parameters
    ----------
    of : {"model", "data"}
    alpha : float
    manifolds : sequence of float
        Values of c/D, a curve each. Those of the figures are not known to us.
    at : (n,) array
        From 100 to 10^10 by default.

    Returns
    -------
    DataFrame
        `manifold`; `params` or `tokens`; `exponent` there; `limit`, what it tends to.

    Raises
    ------
    ValueError
        If `of` is neither, or an exponent is not positive.

    Examples
    --------
    >>> exponent_curves("data", manifolds=[0.25], at=[1e2, 1e8]).round(3).values.tolist()
    [[0.25, 100.0, 0.203, 0.25], [0.25, 100000000.0, 0.249, 0.25]]
    """
    import pandas as pd

    if of not in ("model", "data"):
        raise ValueError(f'curves are of "model" or "data", not {of!r}.')
    kind, column = (ModelScaling, "params") if of == "model" else (DataScaling, "tokens")
    x = np.geomspace(1e2, 1e10, 81) if at is None else np.asarray(at, dtype=float)
    laws = [kind(alpha=alpha, manifold=manifold) for manifold in manifolds]
    frames = [
        pd.DataFrame({"manifold": law.manifold, column: x, "exponent": local_exponent(law, x), "limit": law.exponent})
        for law in laws
    ]
    return pd.concat(frames, ignore_index=True)


def exponent_ratios(alphas: Sequence[float] = ALPHAS, *, manifolds: ArrayLike | None = None) -> pd.DataFrame:
    """Model exponent over data exponent, by c/D, for several alpha: as Fig. 4 of arXiv:2412.07942.

    The ratio is 1 while both are c/D, grows from c/D = alpha / (alpha + 1) on, and stays alpha + 1 from c/D = alpha on.

    Parameters
    ----------
    alphas : sequence of float
    manifolds : (n,) array
        Values of c/D; from 0.1 to 10 by default.

    Returns
    -------
    DataFrame
        `alpha`, `manifold`, `model`, `data` and `ratio`, all for large models and much data.

    Examples
    --------
    >>> exponent_ratios([1.0], manifolds=[0.25, 0.75, 4.0])["ratio"].tolist()
    [1.0, 1.5, 2.0]
    """
    import pandas as pd

    values = np.geomspace(0.1, 10, 1001) if manifolds is None else np.asarray(manifolds, dtype=float).ravel()
    rows = [
        (alpha, manifold, ModelScaling(alpha, manifold).exponent, DataScaling(alpha, manifold).exponent)
        for alpha in alphas
        for manifold in values.tolist()
    ]
    frame = pd.DataFrame(rows, columns=["alpha", "manifold", "model", "data"])
    return frame.assign(ratio=frame["model"] / frame["data"])


def _theory(manifold: float, ranked: float, name: str) -> str:
    if abs(manifold - ranked) <= AT_CRITICAL * ranked:
        return BETWEEN
    return name if manifold > ranked else MANIFOLD
