"""Percolation theory: every closed form against sums, searches and integrals that do not know it; limits; bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.special import zeta

import scalefit as sf
from scalefit.theory import model_scaling
from scalefit.theory.binomials import binomial_mean
from scalefit.theory.cluster_laws import MEAN_FIELD, Universality, bethe_sizes, critical_probability
from scalefit.theory.data_scaling import binomial_loss, data_loss
from scalefit.theory.model_scaling import break_rank, harmonic, model_loss, optimal_allocation, rank_exponent
from scalefit.theory.percolation import DataScaling, ModelScaling, local_exponent
from scalefit.theory.regimes import exponent_curves, exponent_ratios, limits, regime

CASES = [(alpha, manifold) for alpha in (0.3, 1.0, 3.0) for manifold in (0.25, 0.5, 1.0, 2.0, 4.0)]
alphas, manifolds = st.floats(0.1, 5), st.floats(0.05, 8)


# Cluster sizes.


def test_exponents_of_mean_field_clusters():
    assert (MEAN_FIELD.alpha, MEAN_FIELD.manifold(2), MEAN_FIELD.manifold(4)) == (1.0, 0.5, 1.0)
    assert MEAN_FIELD.size_at([1, 10]).tolist() == [1.0, 0.01]


@given(tau=st.floats(2.05, 2.95), largest=st.floats(1, 1e6))
def test_the_rank_of_a_size_is_what_lies_above_it(tau, largest):
    clusters = Universality(tau=tau, sigma=0.5, dimension=4.0)
    rank = clusters.share_above(1.0) / clusters.share_above(largest)  # of size 1, where the largest has rank 1
    assert clusters.size_at(rank) == pytest.approx(1 / largest, rel=1e-9)


def series(degree, p, most):
    """P(s) by the generating function of a branching process, whose power series is found term by term."""
    q, branch = 1 - p, np.zeros(most + 1)
    for _ in range(most):  # T = x (q + p T)^(z - 1): every round settles one more coefficient
        inside = p * branch
        inside[0] += q
        branch = np.concatenate([[0.0], power(inside, degree - 1)[:most]])
    inside = p * branch
    inside[0] += q
    return power(inside, degree)[:most]  # of the cluster without its root


def power(series, times):
    made = np.eye(1, len(series))[0]
    for _ in range(times):
        made = np.convolve(made, series)[: len(series)]
    return made


@pytest.mark.parametrize(("degree", "p"), [(3, 0.5), (3, 0.2), (3, 0.7), (12, 1 / 11), (12, 0.03)])
def test_bethe_sizes_are_the_coefficients_of_their_generating_function(degree, p):
    np.testing.assert_allclose(bethe_sizes(np.arange(1, 26), degree=degree, p=p), series(degree, p, 25), rtol=1e-10)


def test_bethe_sizes_have_the_exponents_and_the_prefactor_of_mean_field():
    sizes = np.arange(1, 10**6 + 1)
    P = bethe_sizes(sizes, degree=12)
    above = 1 - np.cumsum(P)[[9, 99, 999, 9999]]  # in clusters larger than 10 to 10,000 sites
    scaled = above * np.sqrt([10, 100, 1000, 10000])
    # total progeny: sqrt(2 / (pi variance)) of one family, and a root has 12/11 of them on average
    np.testing.assert_allclose(scaled, 12 / 11 * np.sqrt(2 / np.pi / (10 / 11)), rtol=0.05)
    assert scaled[-1] == pytest.approx(12 / 11 * np.sqrt(2 / np.pi / (10 / 11)), rel=1e-3)
    slope = np.log(P[10**6 - 1] / P[10**4 - 1]) / np.log(100)
    assert slope == pytest.approx(1 - MEAN_FIELD.tau, abs=1e-4)


def test_bethe_sizes_are_cut_off_with_sigma():
    p_c, distances, sizes = critical_probability(12), np.array([1e-3, 2e-3, 4e-3]), np.array([1e5, 2e5])
    rates = []
    for distance in distances:
        excess = np.log(bethe_sizes(sizes, degree=12, p=p_c - distance) / bethe_sizes(sizes, degree=12))
        rates.append(-np.diff(excess)[0] / 1e5)
    slopes = np.diff(np.log(rates)) / np.log(2)
    np.testing.assert_allclose(slopes, 1 / MEAN_FIELD.sigma, atol=0.05)  # to leading order in the distance


def test_finite_bethe_clusters_hold_all_sites_up_to_the_critical_probability():
    sizes = np.arange(1, 20_001)
    assert bethe_sizes(sizes, degree=4, p=0.2).sum() == pytest.approx(1, abs=1e-10)
    assert bethe_sizes(sizes, degree=4, p=0.5).sum() < 0.5


def test_a_cutoff_that_no_float_holds_is_infinite():
    assert Universality(tau=2.5, sigma=0.001, dimension=4).cutoff(0.01) == np.inf


def test_the_density_falls_off_at_the_cutoff():
    assert MEAN_FIELD.cutoff(0.01) == pytest.approx(1e4)
    assert MEAN_FIELD.density([1e4], distance=0.01) / MEAN_FIELD.density([1e4]) == pytest.approx(np.exp(-1))


# The loss over degrees of freedom.


@pytest.mark.parametrize("order", [0.1, 0.5, 1.0, 1.0000001, 1.6, 3.0, 9.0])
def test_harmonic_numbers_are_their_sums(order):
    k = np.array([1, 2, 5, 100, 20_000])
    np.testing.assert_allclose(harmonic(k, order), [np.sum(np.arange(1.0, n + 1) ** -order) for n in k], rtol=1e-12)
    assert harmonic(0.0, order) == 0


@given(order=st.floats(0.05, 6), k=st.floats(0, 1e9))
def test_harmonic_numbers_between_whole_numbers_keep_their_recurrence(order, k):
    assert harmonic(k + 1, order) == pytest.approx(harmonic(k, order) + (k + 1) ** -order, rel=1e-12)


@given(alpha=alphas, manifold=manifolds, size=st.floats(1, 1e15))
def test_the_break_is_where_the_last_cluster_gets_its_due(alpha, manifold, size):
    nu, smallest = rank_exponent(alpha, manifold), (1 + manifold) ** (1 / manifold)
    for rule, due in (("unit", 1.0), ("exact", smallest)):
        k = break_rank(size, alpha=alpha, manifold=manifold, break_rule=rule)
        assert due * k**nu * harmonic(k, nu) == pytest.approx(max(size, due), rel=1e-9)


def searched(n, alpha, manifold, most=400_000):
    """Lowest loss over all breaks, each with equal gains at the margin, by sums."""
    k = np.arange(1.0, most + 1)
    H = np.cumsum(k ** -((alpha + 1) / (1 + manifold)))
    beyond = np.append(np.cumsum(k[:0:-1] ** -(alpha + 1))[::-1], 0) + zeta(alpha + 1, most + 1)
    losses = n**-manifold * H ** (1 + manifold) + beyond
    return int(np.argmin(losses)) + 1, float(losses.min())


@pytest.mark.parametrize(("alpha", "manifold"), CASES)
@pytest.mark.parametrize("n", [50, 3e3, 1e5])
def test_the_exact_rule_is_the_optimum_over_all_breaks(alpha, manifold, n):
    best, lowest = searched(n, alpha, manifold)
    made = optimal_allocation(n, alpha=alpha, manifold=manifold)
    assert made.clusters == best
    assert made.loss == pytest.approx(lowest, rel=1e-10)
    # a real break has no steps, and is off by what half a cluster matters: a share of 1 / k^2
    smooth = model_loss(n, alpha=alpha, manifold=manifold)
    assert smooth == pytest.approx(lowest, rel=1e-9 + 0.5 / best**2)
    assert model_loss(n, alpha=alpha, manifold=manifold, break_rule="unit") >= smooth * (1 - 1e-12)


@pytest.mark.parametrize("manifold", [0.25, 0.5, 1.0, 3.0])
def test_no_allocation_of_any_form_is_better(manifold):
    """Weak duality: for any price of a degree of freedom, the cheapest spending on each cluster bounds the loss."""
    n, alpha, k = 2000.0, 1.0, np.arange(1.0, 3001)
    spent = np.concatenate([[0.0], np.geomspace(1, n, 4000)])
    losses = np.concatenate([[1.0], spent[1:] ** -manifold])
    made = optimal_allocation(n, alpha=alpha, manifold=manifold)
    price = manifold * made.sizes[0] ** (-manifold - 1)  # what the largest cluster gains at the margin
    bounds = []
    for factor in np.linspace(0.95, 1.05, 11):
        costs = k[:, None] ** -(alpha + 1) * losses + factor * price * spent
        bounds.append(costs.min(axis=1).sum() - factor * price * n + zeta(alpha + 1, len(k) + 1))
    assert max(bounds) * (1 - 1e-5) <= made.loss <= max(bounds) * 1.002


def test_an_allocation_spends_all_and_gains_equally():
    made = optimal_allocation(1e4, alpha=1.0, manifold=0.5)
    k = np.arange(1.0, made.clusters + 1)
    assert made.sizes.sum() == pytest.approx(1e4, rel=1e-12)
    np.testing.assert_allclose(np.diff(np.log(k**-2 * made.sizes**-1.5)), 0, atol=1e-12)
    assert made.sizes[-1] == pytest.approx(2.25, rel=0.05)


def test_the_last_cluster_of_the_exact_rule_gets_more_than_one():
    for manifold, known in zip((0.25, 0.5, 1, 2, 4), (2.44, 2.25, 2.00, 1.73, 1.50), strict=True):
        due = (1 + manifold) ** (1 / manifold)
        assert due == pytest.approx(known, abs=0.005)
        k = [break_rank(n, alpha=1.0, manifold=manifold, break_rule=rule) for n, rule in ((due, "exact"), (1, "unit"))]
        assert k == pytest.approx([1.0, 1.0], rel=1e-12)
        assert break_rank(1.01 * due, alpha=1.0, manifold=manifold) > 1
        exact = break_rank(1e6, alpha=1.0, manifold=manifold)
        assert exact == break_rank(1e6 / due, alpha=1.0, manifold=manifold, break_rule="unit")


@pytest.mark.parametrize(
    ("manifold", "exponent"), [(0.25, 0.248), (0.5, 0.485), (1.0, 0.836), (2.0, 0.989), (4.0, 1.000)]
)
def test_local_exponents_have_their_reference_values(manifold, exponent):
    for rule, within in (("exact", 1e-3), ("unit", 0.01)):
        losses = model_loss([1e5, 1e6], alpha=1.0, manifold=manifold, break_rule=rule)
        assert np.log10(losses[0] / losses[1]) == pytest.approx(exponent, abs=within)
    lowest = [searched(n, 1.0, manifold)[1] for n in (1e5, 1e6)]
    assert np.log10(lowest[0] / lowest[1]) == pytest.approx(exponent, abs=1e-3)


@pytest.mark.parametrize("rule", ["unit", "exact"])
@pytest.mark.parametrize(("alpha", "manifold"), [(1.0, 0.2), (3.0, 1.0), (1.0, 3.0), (0.3, 2.0)])
def test_breaks_and_losses_reach_their_limits(alpha, manifold, rule):
    asked = {"alpha": alpha, "manifold": manifold, "break_rule": rule}
    for found in (break_rank, model_loss):
        away = [found(n, **asked, limit=True) / found(n, **asked) - 1 for n in (1e8, 1e16)]
        assert abs(away[1]) < 2e-3
        assert abs(away[1]) <= abs(away[0])


def test_at_equal_exponents_the_break_is_lamberts_and_the_loss_has_a_logarithm():
    asked = {"alpha": 1.0, "manifold": 1.0, "break_rule": "unit"}
    n = np.array([1e6, 1e12, 1e24, 1e48])
    k = break_rank(n, **asked, limit=True)
    np.testing.assert_allclose(k * np.log(k), n, rtol=1e-12)
    away = np.abs(break_rank(n, **asked) / k - 1)
    assert np.all(away < np.euler_gamma / np.log(k))  # H = ln k + 0.577
    assert np.all(np.diff(np.abs(model_loss(n, **asked) / model_loss(n, **asked, limit=True) - 1)) < 0)
    for above in (1 - 1e-9, 1 + 1e-9):  # nothing happens there: the sums are continuous
        assert model_loss(1e9, alpha=1.0, manifold=above) == pytest.approx(
            model_loss(1e9, alpha=1.0, manifold=1.0), rel=1e-7
        )


def test_many_clusters_and_a_steep_manifold_do_not_overflow():
    """H^(1 + c/D) is too large for a float, n^(-c/D) too small; their product is the limit of Eq. 32."""
    losses = model_loss([1e12, 1e15], alpha=1.0, manifold=50.0)
    np.testing.assert_allclose(losses, model_loss([1e12, 1e15], alpha=1.0, manifold=50.0, limit=True), rtol=1e-3)


def test_less_than_one_degree_of_freedom_gains_nothing():
    np.testing.assert_allclose(model_loss([1e-3, 0.5, 1.0], alpha=1.0, manifold=0.5), zeta(2), rtol=1e-12)


# The loss over samples.


def by_integrals(D, alpha, manifold):
    ks = D ** (1 / (alpha + 1))
    learned = quad(lambda t: np.exp(t * (1 - (alpha + 1) * (1 - manifold))), 0, np.log(ks), epsabs=0, epsrel=1e-11)[0]
    return D**-manifold * learned + ks**-alpha / alpha


@pytest.mark.parametrize(("alpha", "manifold"), [*CASES, (1.0, 0.5 + 1e-9), (1.0, 0.5 - 1e-6), (3.0, 0.75)])
def test_the_closed_form_is_its_integrals(alpha, manifold):
    for D in (1.0, 30.0, 1e4, 1e9):
        assert data_loss(D, alpha=alpha, manifold=manifold) == pytest.approx(by_integrals(D, alpha, manifold), rel=1e-9)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_at_x_0_it_is_the_logarithmic_case(alpha):
    D, manifold = np.geomspace(1, 1e12, 7), alpha / (alpha + 1)
    expected = D**-manifold * (1 / alpha + np.log(D) / (alpha + 1))
    np.testing.assert_allclose(data_loss(D, alpha=alpha, manifold=manifold), expected, rtol=1e-12)
    for near in (1 - 1e-10, 1 + 1e-10):
        np.testing.assert_allclose(data_loss(D, alpha=alpha, manifold=manifold * near), expected, rtol=1e-7)


def test_huge_exponents_do_not_overflow():
    assert data_loss(1e30, alpha=1.0, manifold=50.0) == pytest.approx((1 + 1 / 99) * 1e-15, rel=1e-12)


def one_by_one(D, alpha, manifold):
    """The sum of Eq. 35 with no short cut: all clusters, all outcomes of each binomial."""
    k, m = np.arange(1, 30_001), np.arange(D + 1)
    share = k ** -(alpha + 1.0)
    chances = stats.binom.pmf(m[:, None], D, share)
    return float(share @ (np.maximum(m, 1.0) ** -manifold @ chances) + zeta(alpha + 1, len(k) + 1))


@pytest.mark.parametrize(("alpha", "manifold"), [(1.0, 0.25), (1.0, 2.0), (0.5, 0.5), (3.0, 1.0)])
def test_the_binomial_sums_take_no_short_cut_that_shows(alpha, manifold):
    found = binomial_loss([1, 3, 40], alpha=alpha, manifold=manifold)
    np.testing.assert_allclose(found, [one_by_one(D, alpha, manifold) for D in (1, 3, 40)], rtol=1e-4)


def test_clusters_under_the_integral_are_those_summed_singly(monkeypatch):
    found = binomial_loss(10_000, alpha=1.0, manifold=0.5)
    monkeypatch.setattr("scalefit.theory.data_scaling.ONE_BY_ONE", 4000)
    # an integral from half a rank before to half a rank behind is off by 1 / (24 k^2) of a smooth sum, k = 500
    assert found == pytest.approx(binomial_loss(10_000, alpha=1.0, manifold=0.5), rel=5e-8)


@pytest.mark.parametrize(
    ("manifold", "least", "most", "within"),
    [(0.25, 0.72, 0.77, 0.01), (0.5, 0.83, 0.93, 0.02), (1.0, 0.92, 0.95, 0.01), (2.0, 0.89, 0.90, 0.01)],
)
def test_the_closed_form_has_the_exponents_of_the_sums_and_a_constant(manifold, least, most, within):
    """At c/D = 1/2, the logarithmic case, exponents agree to 0.02 from 100 samples on and to 0.01 from 10,000 on."""
    D = np.geomspace(1e2, 1e6, 5)
    closed, explicit = (f(D, alpha=1.0, manifold=manifold) for f in (data_loss, binomial_loss))
    assert np.all((closed / explicit > least) & (closed / explicit < most))
    slopes = [-np.diff(np.log10(losses)) for losses in (closed, explicit)]
    np.testing.assert_allclose(*slopes, atol=within)
    np.testing.assert_allclose(slopes[0][2:], slopes[1][2:], atol=0.01)


def test_binomial_means_are_their_moments():
    assert binomial_mean(np.square, 1, 1.0) == pytest.approx(1.0)
    third = stats.binom(10**6, 0.2).moment(3)
    assert binomial_mean(lambda m: m**3, 10**6, 0.2) == pytest.approx(third, rel=1e-9)


# As laws.


@given(alpha=alphas, manifold=manifolds)
def test_losses_fall_and_end_with_their_exponents(alpha, manifold):
    x = np.geomspace(1, 1e12, 30)
    for law in (ModelScaling(alpha, manifold), DataScaling(alpha, manifold)):
        assert np.all(np.diff(law(x)) < 0)
    assert ModelScaling(alpha, manifold).exponent == min(alpha, manifold)
    assert DataScaling(alpha, manifold).exponent == min(alpha / (alpha + 1), manifold)


@pytest.mark.parametrize("kind", [ModelScaling, DataScaling])
@pytest.mark.parametrize(("alpha", "manifold"), [(1.0, 0.3), (2.0, 5.0), (0.5, 1.5)])
def test_local_exponents_tend_to_the_limit(kind, alpha, manifold):
    law = kind(alpha, manifold)
    assert local_exponent(law, 1e14) == pytest.approx(law.exponent, abs=0.01)


def test_an_exponent_of_nothing_learned_is_0_without_a_sign():
    for law in (ModelScaling(alpha=1.0, manifold=0.5), DataScaling(alpha=1.0, manifold=0.5)):
        assert str(local_exponent(law, [0.5])[0]) == "0.0"


def test_units_and_offsets_move_a_law_and_leave_its_exponent():
    plain, moved = ModelScaling(1.0, 0.5), ModelScaling(1.0, 0.5, E=1.5, A=4.0, unit=100.0)
    assert moved(1e6) == pytest.approx(1.5 + 4 * plain(1e4), rel=1e-14)
    assert local_exponent(moved, 1e6) == pytest.approx(local_exponent(plain, 1e4), rel=1e-6)


@pytest.mark.parametrize(("kind", "column"), [(ModelScaling, "params"), (DataScaling, "tokens")])
def test_the_constants_of_a_theory_are_fitted_to_runs(kind, column):
    law = kind(alpha=1.0, manifold=0.5, E=1.7, A=30.0, unit=1.0)
    runs = sf.simulate(law, sf.grid(**{column: np.geomspace(1e3, 1e7, 9)}))
    held = {"alpha": 1.0, "manifold": 0.5, "unit": 1.0}
    found = sf.fit(sf.LawRegressor(kind, fixed=held), runs, inputs=column).law.to_dict()
    assert found == pytest.approx(law.to_dict(), rel=1e-4)


def test_a_theory_is_drawn_on_the_plot_of_a_measured_law():
    runs = sf.load("pythia").where("kept")
    theory = ModelScaling(alpha=1.0, manifold=0.25, E=1.6, A=32.0)
    ax = sf.plot_fit(sf.fit(sf.PowerLaw, runs, inputs="params"), beside={"percolation": theory})
    (line,) = [line for line in ax.lines if line.get_label() == "percolation"]
    np.testing.assert_allclose(line.get_ydata(), theory(line.get_xdata()), rtol=1e-12)


# Regimes.


def test_regimes_below_at_and_above():
    below, at, above = (regime(p, p_c=0.2, c=4, space=6) for p in (0.1, 0.2, 0.3))
    assert [found.name for found in (below, at, above)] == ["subcritical", "critical", "supercritical"]
    assert (below.model_exponent, below.data_exponent) == (at.model_exponent, at.data_exponent) == (1.0, 0.5)
    assert (above.model_exponent, above.data_exponent) == (4 / 6, 4 / 6)
    assert (at.cutoff, below.cutoff) == (np.inf, pytest.approx(100))


@pytest.mark.parametrize(
    ("c", "model", "data"), [(1, "Sharma", "Sharma"), (2, "Sharma", "neither"), (3, "Sharma", "Hutter"),
                             (4, "neither", "Hutter"), (9, "Michaud", "Hutter")],
)  # fmt: skip
def test_each_limit_is_an_earlier_theory(c, model, data):
    found = regime(0.1, p_c=0.1, c=c)
    assert model in found.model_theory
    assert data in found.data_theory


def test_the_table_of_limits_names_them_all():
    table = limits()
    assert table.columns.tolist() == ["where", "of", "exponent", "theory"]
    assert all(table["theory"].str.contains(name).any() for name in ("Michaud", "Hutter", "Sharma", "Bahri"))


def test_curves_of_exponents_tend_to_their_limits():
    for of, column, most in (("model", "params", 1.0), ("data", "tokens", 0.5)):
        frame = exponent_curves(of, manifolds=[0.25, 4.0], at=[1e2, 1e10])
        assert frame.columns.tolist() == ["manifold", column, "exponent", "limit"]
        last = frame[frame[column] == 1e10]
        np.testing.assert_allclose(last["exponent"], [0.25, most], atol=1e-3)
        np.testing.assert_allclose(last["limit"], [0.25, most])


def test_ratios_of_exponents_are_one_then_rise_to_alpha_plus_one():
    frame = exponent_ratios([0.5, 2.0], manifolds=[0.1, 0.4, 1.0, 9.0])
    np.testing.assert_allclose(frame["ratio"], [1, 1.2, 1.5, 1.5, 1, 1, 1.5, 3])


# Bad input.


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Universality(tau=2.0, sigma=0.5, dimension=4), "tau must be between 2 and 3.*is 2.0"),
        (lambda: Universality(tau=3.0, sigma=0.5, dimension=4), "tau must be between 2 and 3"),
        (lambda: Universality(tau=np.nan, sigma=0.5, dimension=4), "tau must be"),
        (lambda: Universality(tau=2.5, sigma=0.0, dimension=4), "sigma must be positive"),
        (lambda: Universality(tau=2.5, sigma=0.5, dimension=-1), "dimension must be positive"),
        (lambda: MEAN_FIELD.manifold(0), "c must be positive"),
        (lambda: MEAN_FIELD.cutoff(1.0), "distance is"),
        (lambda: MEAN_FIELD.size_at([0.5, 2]), "ranks must be finite and at least 1, but one is 0.5 .1 such"),
        (lambda: bethe_sizes([1.5], degree=3), "sizes must be whole numbers"),
        (lambda: bethe_sizes([0], degree=3), "sizes must be positive"),
        (lambda: bethe_sizes([1], degree=2), "degree.*from 3 on, but it is 2"),
        (lambda: bethe_sizes([1], degree=3, p=1.0), "p is the probability.*is 1.0"),
        (lambda: regime(0.0, p_c=0.2, c=4), "p is the probability"),
        (lambda: regime(1.2, p_c=0.2, c=4), "p is the probability"),
        (lambda: regime(0.1, p_c=1.0, c=4), "p is the probability"),
        (lambda: regime(0.3, p_c=0.2, c=4), "above p_c.*give space"),
        (lambda: regime(0.3, p_c=0.2, c=4, space=0), "space must be positive"),
        (lambda: rank_exponent(0.0, 1.0), "alpha must be positive"),
        (lambda: model_loss([1.0, -1.0], alpha=1.0, manifold=1.0), "params must be positive and finite.*-1"),
        (lambda: model_loss(10.0, alpha=1.0, manifold=1.0, break_rule="best"), "break_rule is"),
        (lambda: optimal_allocation(0.5, alpha=1.0, manifold=1.0), "at least 1"),
        (lambda: optimal_allocation(1e12, alpha=1.0, manifold=4.0), "clusters would be learned.*at most"),
        (lambda: data_loss(0.0, alpha=1.0, manifold=1.0), "tokens must be positive"),
        (lambda: data_loss(1.0, alpha=1.0, manifold=0.0), "manifold must be positive"),
        (lambda: binomial_loss([2.5], alpha=1.0, manifold=1.0), "tokens must be whole numbers"),
        (lambda: ModelScaling(alpha=-1.0, manifold=0.5), "alpha must be positive"),
        (lambda: DataScaling(alpha=1.0, manifold=0.5, unit=0.0), "unit must be positive"),
        (lambda: DataScaling(alpha=1.0, manifold=0.5)(0.0), "tokens must be positive"),
        (lambda: local_exponent(sf.HOFFMANN_2022, [1e9]), "Chinchilla takes several"),
        (lambda: local_exponent(sf.PowerLaw(E=2.0, A=0.0, alpha=0.5), [1e9]), "no loss above E = 2"),
        (lambda: exponent_curves("both"), 'curves are of "model" or "data"'),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_break_settles_in_few_steps(monkeypatch):
    wanted = break_rank([1.0, 7.0, 1e15], alpha=0.1, manifold=8.0)
    monkeypatch.setattr(model_scaling, "NEWTON", 25)
    np.testing.assert_array_equal(break_rank([1.0, 7.0, 1e15], alpha=0.1, manifold=8.0), wanted)
