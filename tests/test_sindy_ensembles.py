"""Claims about ensembles: the members are pysindy's on the same bootstraps; inclusion, refit, kernels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ArgumentError, SolveError
from sciml.sindy.baselines import pysindy_optimizer
from sciml.sindy.ensembles import bootstrap_counts, choose_threshold, ensemble, threshold_path
from sciml.sindy.libraries import exponent_table
from sciml.sindy.moments import columns_of, least_squares, moments, pairs_of, products, solve_active, substituted
from sciml.sindy.thresholding import stlsq

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pysindy


def lorenz(samples=400, noise=0.0, seed=0, degree=3):
    """Features [N, p] and rates [N, 3] of the Lorenz system, rates perturbed by noise of this standard deviation."""
    rng = np.random.default_rng(seed)
    x, states = np.array([-8.0, 8.0, 27.0]), []

    def rate(u):
        return np.stack([10 * (u[..., 1] - u[..., 0]), u[..., 0] * (28 - u[..., 2]) - u[..., 1],
                         u[..., 0] * u[..., 1] - 8 / 3 * u[..., 2]], -1)  # fmt: skip

    for _ in range(samples):
        states.append(x)
        for _ in range(5):
            middle = x + 0.001 * rate(x)
            x = x + 0.002 * rate(middle)
    states = np.array(states)
    table = exponent_table(3, degree)
    features = np.prod(states[:, None] ** table, axis=2)
    return features, rate(states) + noise * rng.normal(size=states.shape), table


def pysindy_members(features, rates, counts, **given):
    found = []
    for count in np.asarray(counts).astype(int):
        rows = np.repeat(np.arange(len(count)), count)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(pysindy.STLSQ(**given).fit(features[rows], rates[rows]).coef_)
    return np.array(found)


def assert_identical(ours, theirs, features, rates, counts, tolerance=1e-9, unbias=True, normalize=False):
    """The same supports, and coefficients to rounding: in units of the equation's largest term."""
    ours = ours.numpy()
    assert np.array_equal(ours != 0, theirs != 0)
    compared = 0
    for member, count in enumerate(np.asarray(counts)):
        for equation, support in enumerate(theirs[member] != 0):
            rows = features[:, support] * np.sqrt(count)[:, None]
            expected = theirs[member, equation, support]
            size = np.linalg.norm(rows, axis=0)
            values = np.linalg.svd(rows / size if normalize else rows, compute_uv=False)
            if unbias and len(values) and values[-1] < 3e-6 * values[0]:
                # scikit-learn's LinearRegression, by which pysindy refits, drops such directions (its tol is 1e-6).
                expected = np.linalg.lstsq(rows / size, rates[:, equation] * np.sqrt(count), rcond=None)[0] / size
            else:
                compared += 1
            allowed = tolerance * np.max(abs(expected) * size, initial=0)
            assert (abs(ours[member, equation, support] - expected) * size <= allowed).all()
    return compared


@pytest.mark.parametrize("degree", [2, 3, 5])
@pytest.mark.parametrize("given", [{}, {"alpha": 0.0}, {"normalize": True}, {"unbias": False}, {"limit": 2}])
def test_members_are_those_of_pysindy_on_the_same_bootstraps(degree, given):
    features, rates, _ = lorenz(noise=5.0, degree=degree)
    counts = bootstrap_counts(len(features), 12, generator=torch.Generator().manual_seed(degree))
    threshold = 20.0 if given.get("normalize") else 0.2
    ours = ensemble(features, rates, members=12, threshold=threshold, counts=counts, **given)
    names = {"normalize": "normalize_columns", "limit": "max_iter"}
    theirs = pysindy_members(
        features, rates, counts, threshold=threshold, **{names.get(name, name): value for name, value in given.items()}
    )
    how = {name: given[name] for name in ("unbias", "normalize") if name in given}
    compared = assert_identical(ours.members, theirs, features, rates, counts, **how)
    assert compared >= (1 if degree == 5 else 12)
    assert np.array_equal(ours.inclusion.numpy(), (theirs != 0).mean(0))


def test_medians_are_those_of_pysindy_for_even_and_odd_numbers_of_members():
    features, rates, _ = lorenz(noise=5.0)
    for members in (9, 10):
        result = ensemble(features, rates, members=members, threshold=0.2, inclusion=1e-9)
        expected = np.median(result.members.numpy(), axis=0)
        np.testing.assert_array_equal(result.coefficients.numpy(), np.where(result.support, expected, 0))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(20, 60), st.floats(0.01, 1.0))
def test_members_are_those_of_pysindy_for_random_systems(seed, terms, samples, threshold):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(samples, terms)) * 10.0 ** rng.uniform(-1, 1, terms)
    rates = features @ (rng.normal(size=(terms, 2)) * (rng.random((terms, 2)) < 0.5)) + rng.normal(size=(samples, 2))
    counts = bootstrap_counts(samples, 3, generator=torch.Generator().manual_seed(seed))
    ours = ensemble(features, rates, members=3, threshold=threshold, counts=counts)
    theirs = pysindy_members(features, rates, counts, threshold=threshold)
    assert assert_identical(ours.members, theirs, features, rates, counts) == 6


@pytest.mark.parametrize("kind", ["bagging", "bragging", "library", "double"])
def test_every_kind_finds_the_lorenz_equations(kind):
    features, rates, table = lorenz(noise=0.5)
    result = ensemble(features, rates, kind=kind, members=100, threshold=0.2)
    place = {tuple(row): k for k, row in enumerate(table.tolist())}
    true = np.zeros((3, len(table)))
    true[0, place[1, 0, 0]], true[0, place[0, 1, 0]] = -10, 10
    true[1, place[1, 0, 0]], true[1, place[0, 1, 0]], true[1, place[1, 0, 1]] = 28, -1, -1
    true[2, place[1, 1, 0]], true[2, place[0, 0, 1]] = 1, -8 / 3
    assert np.array_equal(result.support.numpy(), true != 0)
    assert np.array_equal(result.refitted.numpy() != 0, true != 0)
    error = abs(result.refitted.numpy() - true)[true != 0]
    assert (error < 5 * result.standard_errors.numpy()[true != 0] if kind != "library" else error < 0.1).all()


def test_library_bagging_counts_inclusion_among_the_members_that_saw_the_term():
    features, rates, _ = lorenz()
    result = ensemble(features, rates, kind="library", members=40, threshold=0.2)
    seen = result.available[:, 0]
    assert (seen.sum(1) == round(0.9 * features.shape[1])).all()
    assert not bool((result.members[~result.available] != 0).any())
    # On clean data a true term is chosen whenever it is seen, though no member sees every term.
    assert result.inclusion[0].max() == 1.0
    assert seen.sum(0).max() < 40


def test_double_bagging_draws_from_the_terms_that_the_library_stage_kept():
    features, rates, _ = lorenz(noise=20.0)
    result = ensemble(features, rates, kind="double", members=50, threshold=0.2)
    per_equation = result.available[0]
    assert bool((result.available == per_equation).all())
    assert 0 < per_equation.sum() < per_equation.numel()
    assert not bool((result.members[:, ~per_equation] != 0).any())


def test_refit_is_least_squares_on_the_support():
    features, rates, _ = lorenz(noise=1.0)
    result = ensemble(features, rates, members=50, threshold=0.2)
    for row, support, refitted, residual in zip(rates.T, result.support, result.refitted, result.residual, strict=True):
        expected, *_ = np.linalg.lstsq(features[:, support], row, rcond=None)
        np.testing.assert_allclose(refitted[support], expected, rtol=1e-9)
        assert residual == pytest.approx(np.sum((row - features[:, support] @ expected) ** 2), rel=1e-9)


def test_a_path_of_thresholds_holds_the_ensembles_of_each_threshold():
    features, rates, _ = lorenz(noise=1.0)
    thresholds = [0.001, 0.2, 2.0, 50.0]
    path = threshold_path(features, rates, thresholds, members=30, seed=3)
    for threshold, each in zip(thresholds, path, strict=True):
        alone = ensemble(features, rates, members=30, threshold=threshold, seed=3)
        assert torch.equal(each.members != 0, alone.members != 0)
        torch.testing.assert_close(each.members, alone.members, rtol=1e-9, atol=0)
    # The true equations have 2, 3 and 2 terms, the smallest coefficient being 1.
    assert path[0].support.sum() > 7 > path[2].support.sum()
    assert [int(path[k].support[i].sum()) for i, k in enumerate(choose_threshold(path))] == [2, 3, 2]


def test_the_same_seed_gives_the_same_ensemble_and_another_seed_another():
    features, rates, _ = lorenz(noise=5.0)
    first, second, third = (ensemble(features, rates, members=20, threshold=0.2, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.members, second.members)
    assert not torch.equal(first.members, third.members)


def test_inclusion_of_noise_is_low_and_standard_errors_follow_the_theory():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, 6))
    rates = features[:, :1] * 3 + rng.normal(size=(2000, 1))
    result = ensemble(features, rates, members=1000, threshold=0.2, alpha=0.0)
    assert result.inclusion[0, 0] == 1
    assert result.inclusion[0, 1:].max() < 0.01
    # The bootstrap's standard error of a coefficient of unit noise on a unit column is 1 / sqrt(N).
    assert float(result.standard_errors[0, 0]) == pytest.approx(2000**-0.5, rel=0.1)
    low, high = result.intervals()[:, 0, 0].tolist()
    assert high - low == pytest.approx(2 * 1.96 * 2000**-0.5, rel=0.15)


@pytest.mark.parametrize("name", ["SR3", "SSR", "FROLS"])
def test_optimizers_of_pysindy_run_through_the_same_door(name):
    features, rates, _ = lorenz(degree=2)
    counts = bootstrap_counts(len(features), 3, generator=torch.Generator().manual_seed(0))
    result = ensemble(features, rates, optimizer=name, members=3, counts=counts)
    rows = np.repeat(np.arange(len(features)), counts[1].int().numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = getattr(pysindy, name)().fit(features[rows], rates[rows]).coef_
    np.testing.assert_allclose(result.members[1].numpy(), expected, rtol=1e-12, atol=0)
    assert result.threshold is None


def test_an_object_of_pysindy_gives_what_the_native_members_give_and_is_left_as_it_was():
    features, rates, _ = lorenz(noise=5.0)
    optimizer = pysindy.STLSQ(threshold=0.2)
    for kind in ("bragging", "library", "double"):
        slow = ensemble(features, rates, kind=kind, optimizer=optimizer, members=5)
        fast = ensemble(features, rates, kind=kind, threshold=0.2, members=5)
        counts = torch.ones(5, len(features)) if fast.counts is None else fast.counts
        assert assert_identical(fast.members, slow.members.numpy(), features, rates, counts) == 15
    assert not hasattr(optimizer, "coef_")


def test_an_optimizer_that_is_not_installed_says_what_it_needs():
    if hasattr(pysindy, "MIOSR"):
        pytest.skip("MIOSR is installed")
    with pytest.raises(ArgumentError, match="MIOSR needs gurobipy, not installed"):
        pysindy_optimizer("MIOSR")


class Failing:
    coef_ = None

    def fit(self, features, targets):
        raise ValueError("no luck")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "baging"}, ArgumentError, "kind must be one of .* did you mean 'bagging'"),
        ({"members": 0}, ArgumentError, "members must be an integer from 1 on, got 0"),
        ({"threshold": -1.0}, ArgumentError, "threshold must be a finite number from 0 on"),
        ({"threshold": [0.1, 0.2]}, ArgumentError, "threshold must be a finite number"),
        ({"alpha": -1}, ArgumentError, "alpha must be"),
        ({"inclusion": 0}, ArgumentError, "inclusion must lie above 0"),
        ({"treshold": 1}, ArgumentError, "treshold is no option"),
        ({"optimizer": "STLQS"}, ArgumentError, "did you mean 'STLSQ'"),
        ({"optimizer": 3}, ArgumentError, "optimizer must be a name or an object"),
        ({"optimizer": "SR3", "threshold": 0.1}, ArgumentError, "threshold belongs to STLSQ"),
        ({"optimizer": Failing()}, SolveError, "Failing failed on member 0 of the ensemble: no luck"),
        ({"counts": np.ones((2, 3))}, ArgumentError, r"counts must have the shape \[4, 30\]"),
        ({"size": 0}, ArgumentError, "size must be from 1 on"),
        ({"size": 31, "replace": False}, ArgumentError, "at most 30 without replacement"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, error, message):
    features = np.random.default_rng(0).normal(size=(30, 4))
    with pytest.raises(error, match=message):
        ensemble(features, features[:, :1], **{"members": 4, **arguments})


def test_data_that_are_not_finite_or_do_not_fit_are_refused():
    x = np.ones((5, 2))
    with pytest.raises(ArgumentError, match="features must be finite; 10 numbers are not"):
        ensemble(x * np.nan, x)
    with pytest.raises(ArgumentError, match="as many rows, got 5 and 4"):
        ensemble(x, x[:4])
    with pytest.raises(ArgumentError, match="features must be a matrix"):
        ensemble(x[:, 0], x)


# -- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [True, False])
def test_bootstraps_have_the_size_that_was_asked_for(replace):
    counts = bootstrap_counts(50, 20, size=30, replace=replace, generator=torch.Generator().manual_seed(0))
    assert (counts.sum(1) == 30).all()
    assert (counts.max() > 1) == replace


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(0, 5), st.integers(0, 10**6))
def test_distinct_products_of_monomials_are_the_monomials_of_twice_the_degree(states, degree, seed):
    x = np.random.default_rng(seed).normal(size=(300, states)) * 3
    features = torch.tensor(np.prod(x[:, None] ** exponent_table(states, degree), axis=2))
    first, second, table = pairs_of(features)
    assert len(first) == len(exponent_table(states, 2 * degree))
    every = products(features, first, second)
    pairs = (features[:, :, None] * features[:, None]).reshape(300, -1)
    torch.testing.assert_close(every[:, table.flatten()], pairs, rtol=1e-12, atol=0)


def test_products_that_nearly_agree_stay_apart():
    x = torch.tensor(np.random.default_rng(0).normal(size=(200, 1)))
    near = x * (1 + 1e-10 * torch.tensor(np.random.default_rng(1).normal(size=(200, 1))))
    features = torch.cat([x, near, x.clone()], dim=1)
    _, _, table = pairs_of(features)
    # Of six pairs, three with the copy repeat others; those with the near column do not.
    assert len(table.unique()) == 3
    assert table[0, 0] == table[0, 2] == table[2, 2] != table[0, 1]


def test_gram_matrices_are_those_of_the_weighted_rows():
    rng = np.random.default_rng(0)
    features, targets = torch.tensor(rng.normal(size=(70, 6))), torch.tensor(rng.normal(size=(70, 2)))
    counts = bootstrap_counts(70, 4, generator=torch.Generator().manual_seed(0))
    system = moments(features, targets, counts)
    for b in range(4):
        weighted = features * counts[b, :, None]
        torch.testing.assert_close(system.gram[b][system.table], weighted.T @ features, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(system.cross[b], targets.T @ weighted, rtol=1e-12, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_columns_are_the_active_ones_in_order(seed):
    active = torch.tensor(np.random.default_rng(seed).random((7, 9)) < 0.5)
    width = max(1, int(active.sum(1).max()))
    for row, columns in zip(active, columns_of(active, width), strict=True):
        expected = torch.nonzero(row).flatten().tolist()
        assert columns.tolist() == expected + [9] * (width - len(expected))


@pytest.mark.parametrize("degree", [3, 4, 5, 6, 8])
def test_ill_conditioned_systems_keep_the_digits_of_an_orthogonal_factorisation(degree):
    # Monomials far from zero; the pivots go from 1e-7 for cubes to below rounding from degree 6 on.
    x = np.linspace(3.0, 4.0, 200)
    columns = np.stack([x**k for k in range(degree + 1)], axis=1)
    features, true = torch.tensor(columns), np.random.default_rng(0).normal(size=degree + 1)
    target = features @ torch.tensor(true)[:, None]
    system = moments(features, target, torch.ones(1, 200, dtype=torch.float64))
    zero = torch.zeros(1, dtype=torch.int64)
    found = least_squares(system, zero, zero, torch.ones(1, degree + 1, dtype=torch.bool)).numpy()[0]
    direct = np.linalg.lstsq(columns, target.numpy()[:, 0], rcond=None)[0]
    assert abs(found - true).max() < 10 * max(abs(direct - true).max(), 1e-16 * np.linalg.cond(columns))


def test_a_column_that_repeats_gets_the_minimum_norm_solution():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    features = torch.tensor(np.column_stack([x, x[:, 0], np.zeros(40)]))
    target = torch.tensor(2 * x[:, :1])
    system = moments(features, target, torch.ones(1, 40, dtype=torch.float64))
    zero = torch.zeros(1, dtype=torch.int64)
    found = least_squares(system, zero, zero, torch.ones(1, 4, dtype=torch.bool))
    np.testing.assert_allclose(found[0], [1.0, 0.0, 1.0, 0.0], atol=1e-9)


def test_rounds_are_counted_and_a_limit_that_is_too_small_shows():
    features, rates, _ = lorenz(noise=5.0)
    tensors = torch.tensor(features), torch.tensor(rates)
    system = moments(*tensors, torch.ones(1, len(features), dtype=torch.float64))
    zero, equation = torch.zeros(3, dtype=torch.int64), torch.arange(3)
    arguments = (system, zero, equation, torch.full((3,), 0.2, dtype=torch.float64))
    start = torch.ones(3, features.shape[1], dtype=torch.bool)
    free, bound = stlsq(*arguments, start), stlsq(*arguments, start, limit=1)
    assert 1 < int(free.rounds.max()) < 20
    assert bound.rounds.tolist() == [2, 2, 2]


def test_kernels_without_data_dependent_shapes_run_on_the_meta_device():
    features = torch.empty(100, 10, dtype=torch.float64, device="meta")
    pair = torch.empty(55, dtype=torch.int64, device="meta")
    assert products(features, pair, pair).shape == (100, 55)
    columns = columns_of(torch.empty(30, 10, dtype=torch.bool, device="meta"), 4)
    assert columns.shape == (30, 4)
    numbers = {"dtype": torch.float64, "device": "meta"}
    coefficients, factor, scale, failed = solve_active(
        torch.empty(5, 55, **numbers),
        torch.empty(10, 10, dtype=torch.int64, device="meta"),
        torch.empty(30, 2, 10, **numbers),
        torch.empty(30, dtype=torch.int64, device="meta"),
        columns,
        torch.empty(5, 10, **numbers),
    )
    assert coefficients.shape == (30, 2, 10)
    assert failed.shape == (30,)
    assert substituted(factor, scale, torch.empty(30, 1, 10, **numbers), columns).shape == (30, 1, 10)
    assert bootstrap_counts(20, 6, device="meta").shape == (6, 20)
