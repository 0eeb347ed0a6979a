"""Claims about the estimator: scikit-learn's conventions, pysindy's names, and what it refuses."""

from __future__ import annotations

import pickle
import time
import warnings

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.utils.estimator_checks import check_estimator

from sciml.errors import ArgumentError, ProblemWarning
from sciml.sindy.discovery import Discovery
from sciml.sindy.estimator import SINDy
from sciml.sindy.evaluation import monomial_exponents, polynomial_of, solve_one
from sciml.sindy.libraries import FormulaLibrary, PolynomialLibrary
from sciml.status import Status

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pysindy

LORENZ = {"x": {"x", "y"}, "y": {"x", "y", "x*z"}, "z": {"z", "x*y"}}


def rate(_, u):
    return [10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]]


def lorenz(end=5.0, noise=0.0, seed=0, start=(-8.0, 8.0, 27.0)):
    t = np.arange(0, end, 0.01)
    x = solve_ivp(rate, (0, end), start, t_eval=t, rtol=1e-10, atol=1e-10).y.T
    return t, x + noise * x.std() * np.random.default_rng(seed).normal(size=x.shape)


def support(model):
    return {name: set(terms) for name, terms in model.law_.coefficients.items()}


@pytest.fixture(scope="module")
def fitted():
    t, x = lorenz(noise=0.01)
    return SINDy(degree=2).fit(x, t=t), t, x


# -- scikit-learn ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["evidence", "STLSQ"])
@pytest.mark.parametrize("missing", [False, True])
def test_the_conformance_suite_of_scikit_learn_passes(method, missing):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skipped checks and poor fits to noise warn
        results = check_estimator(SINDy(method=method, missing=missing), on_fail=None)
    wrong = {each["check_name"]: each["exception"] for each in results if each["status"] == "failed"}
    assert not wrong
    assert sum(each["status"] == "passed" for each in results) >= 50


def test_a_clone_has_the_parameters_but_not_the_fit(fitted):
    model, *_ = fitted
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(np.ones((1, 3)))
    with pytest.raises(NotFittedError):
        copy.simulate(np.ones(3), [0, 1])


def test_a_pickled_estimator_predicts_the_same(fitted):
    model, _, x = fitted
    model.predict(x[:1])
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(x), model.predict(x))


def test_a_grid_search_over_measured_rates_finds_the_degree():
    _, x = lorenz(end=2.0)
    rates = np.array([rate(0, u) for u in x])
    search = GridSearchCV(SINDy(), {"degree": [1, 2]}, cv=TimeSeriesSplit(3)).fit(x, rates)
    assert search.best_params_ == {"degree": 2}


def test_names_come_from_a_data_frame():
    pandas = pytest.importorskip("pandas")
    t, x = lorenz(end=2.0)
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    model = SINDy(degree=2).fit(frame, t=t)
    assert model.law_.names == ("a", "b", "c")
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    np.testing.assert_array_equal(model.predict(frame), model.law_.predict(x))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c"]])


# -- trajectories -----------------------------------------------------------------------------------------------------


def test_evidence_is_the_engine_itself(fitted):
    from sciml.sindy import discover

    model, t, x = fitted
    law = discover(t, x, degree=2)
    assert model.law_.equations == law.equations
    assert support(model) == LORENZ
    assert model.score(x, t=t) == law.score(x, t)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_an_ensemble_finds_the_lorenz_equations_without_a_threshold(noise):
    t, x = lorenz(end=10.0, noise=noise)
    model = SINDy("ensemble", degree=3, members=100).fit(x, t=t)
    assert support(model) == LORENZ
    for name, inclusion in model.law_.inclusion.items():
        assert {term for term, probability in inclusion.items() if probability >= 0.6} == LORENZ[name]
    assert not model.law_.trusted
    assert "method='evidence'" in model.law_.message


@pytest.mark.parametrize("method", [pysindy.STLSQ(threshold=0.2), "STLSQ"])
def test_optimizers_of_pysindy_regress_on_smoothed_states(method):
    t, x = lorenz(end=10.0, noise=0.01)
    settings = {"threshold": 0.2} if isinstance(method, str) else {}
    model = SINDy(method, degree=3, **settings).fit(x, t=t)
    assert support(model) == LORENZ
    assert model.law_.coefficients["x"]["y"] == pytest.approx(10, rel=0.01)
    error = model.law_.standard_errors["x"]["y"]
    assert 0 < error < 0.1


def test_several_trajectories_with_their_own_times():
    records = [
        lorenz(end=2.0, seed=k, noise=0.01, start=s) for k, s in enumerate([(-8, 8, 27), (1, 2, 20), (5, -5, 30)])
    ]
    model = SINDy(degree=2).fit([x for _, x in records], t=[t for t, _ in records])
    assert support(model) == LORENZ
    predicted = model.predict([x for _, x in records])
    assert [p.shape for p in predicted] == [x.shape for _, x in records]
    assert model.score([x for _, x in records], t=[t for t, _ in records]) > 0.8


def test_control_inputs_are_terms_of_the_law():
    t = np.arange(0, 10, 0.02)
    u = np.sin(3 * t)[:, None]
    x = solve_ivp(lambda s, y: [-2 * y[0] + np.sin(3 * s)], (0, 10), [1.0], t_eval=t, rtol=1e-9, atol=1e-9).y.T
    model = SINDy(degree=2).fit(x, t=t, u=u)
    assert support(model) == {"x": {"x", "u"}}
    np.testing.assert_allclose(model.predict(x, u), -2 * x + u, atol=1e-2)
    solved = model.simulate(x[0], t, u)
    assert abs(solved.states - x).max() < 0.01


@pytest.mark.parametrize("method", ["evidence", "ensemble", "STLSQ"])
def test_a_map_is_found_from_successive_states(method):
    x = [0.3]
    for _ in range(200):
        x.append(3.7 * x[-1] * (1 - x[-1]))
    # pysindy's ridge of 0.05 would keep x**3, which x and x**2 nearly span on this interval.
    settings = {"ridge": 0.0} if method == "STLSQ" else {}
    model = SINDy(method, degree=3, discrete=True, **settings).fit(np.array(x)[:, None])
    assert support(model) == {"x": {"x", "x**2"}}
    assert model.law_.kind == "map"
    assert model.simulate([0.3], 4).states[:, 0] == pytest.approx(x[:4], rel=1e-4)


def test_missing_samples_must_be_declared():
    t, x = lorenz(noise=0.01)
    x[::7, 1] = np.nan
    for arguments in ({"t": t}, {"y": np.ones_like(x)}):
        with pytest.raises(ArgumentError, match=r"Input X contains NaN: SINDy\(missing=True\)") as caught:
            SINDy(degree=2).fit(x, **arguments)
        assert "HistGradientBoosting" not in str(caught.value)
    assert support(SINDy(degree=2, missing=True).fit(x, t=t)) == LORENZ


# -- measured rates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["evidence", "ensemble", "SSR"])
def test_measured_rates_give_the_law_whatever_the_order_of_rows(method):
    _, x = lorenz(end=5.0)
    order = np.random.default_rng(0).permutation(len(x))
    rates = np.array([rate(0, u) for u in x])
    noisy = rates + 0.1 * np.random.default_rng(1).normal(size=rates.shape)
    model = SINDy(method, degree=2).fit(x[order], noisy[order])
    if method != "SSR":
        assert support(model) == LORENZ
    assert model.score(x, rates) > 0.999
    np.testing.assert_allclose(model.coefficients() @ PolynomialLibrary(2).bind("xyz").values(x).T, model.predict(x).T)


def test_other_targets_than_the_states_rates_are_regressed_but_cannot_be_solved():
    x = np.random.default_rng(0).normal(size=(200, 2))
    model = SINDy(degree=3).fit(x, 3 * x[:, 0] ** 2 * x[:, 1] - 1)
    assert model.equations() == ["-1 + 3*x**2*y"]
    assert model.predict(x).shape == (200,)
    with pytest.raises(ArgumentError, match="cannot be solved in time"):
        model.simulate(x[0], [0, 1])


def test_rows_with_missing_entries_are_left_out_of_a_regression():
    x = np.random.default_rng(0).normal(size=(200, 2))
    y = x[:, 0] - x[:, 1] ** 2
    x[3, 0] = x[77, 1] = np.nan
    assert SINDy(degree=2, missing=True).fit(x, y).equations() == ["x - y**2"]


def test_standard_errors_of_a_regression_cover_the_truth():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        x = rng.normal(size=(60, 2))
        model = SINDy(degree=2).fit(x, np.stack([2 * x[:, 0], x[:, 0] * x[:, 1]], 1) + 0.1 * rng.normal(size=(60, 2)))
        low, high = model.law_.intervals["x"]["x"]
        covered += low < 2 < high
    # 95 % of 200 with a standard deviation of 3; the normal quantile for 59 degrees of freedom costs half a percent.
    assert 180 <= covered <= 199


# -- pysindy's methods ------------------------------------------------------------------------------------------------


def test_methods_have_the_names_and_meanings_of_pysindy(fitted, capsys):
    model, _, x = fitted
    names = model.get_feature_names()
    assert names == ["1", "x", "y", "z", "x**2", "x*y", "x*z", "y**2", "y*z", "z**2"]
    assert model.coefficients().shape == (3, len(names))
    assert model.complexity == 7
    for side, terms in zip(model.equations(), LORENZ.values(), strict=True):
        assert [term in side for term in ("x*z", "x*y")] == ["x*z" in terms, "x*y" in terms]
    theirs = model.law_.to_pysindy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(model.predict(x[:5]), theirs.predict(x[:5]), rtol=1e-9)
    model.print(lhs=["dx", "dy", "dz"], precision=2)
    assert capsys.readouterr().out.startswith("dx = -10*x + 10*y\ndy = 28*x")
    with pytest.raises(ArgumentError, match="lhs must be 3 texts"):
        model.print(lhs=["dx"])


def test_simulation_of_many_states_is_that_of_each(fitted):
    model, t, x = fitted
    starts = np.concatenate([x[:2], x[100:120]])
    together = model.simulate(starts, t[:100])
    assert together.states.shape == (22, 100, 3)
    for start, states in zip(starts[::7], together.states[::7], strict=True):
        np.testing.assert_allclose(model.simulate(start, t[:100])[:], states, rtol=1e-4, atol=1e-4)


def test_a_blow_up_gives_all_rows_and_a_status():
    law = Discovery(("x",), ("x' = x**2",), {"x": {"x**2": 1.0}})
    for starts in ([1.0], np.array([[1.0], [0.1]]), np.array([[1.0], [0.1]] * 10)):
        solved = law.simulate(starts, np.linspace(0, 2, 21))
        states = np.atleast_3d(solved.states).reshape(-1, 21)
        assert np.isfinite(states[0, :10]).all()
        assert np.isnan(states[0, 11:]).all()
        assert solved.status is Status.DIVERGED
        np.testing.assert_allclose(states[0, :10], 1 / (1 - np.linspace(0, 0.9, 10)), rtol=1e-5)


def test_stiff_laws_are_solved_by_an_implicit_method():
    # Van der Pol with mu = 1000: an explicit method would need about a million steps.
    def slope(_, y):
        return [y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]]

    times = np.linspace(0, 300, 4)
    states = solve_one(slope, np.array([2.0, 0.0]), times, 1e-6, 1e-9)
    reference = solve_ivp(slope, (0, 300), [2.0, 0.0], "Radau", t_eval=times, rtol=1e-9, atol=1e-12).y.T
    np.testing.assert_allclose(states[:, 0], reference[:, 0], rtol=1e-4)


def test_predicting_one_state_takes_a_hundredth_of_pysindys_time(fitted):
    model, _, x = fitted
    state = np.ascontiguousarray(x[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pysindy.SINDy(feature_library=pysindy.PolynomialLibrary(degree=2)).fit(x, t=0.01)

    def fastest(call, count):
        call()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(count):
                call()
            times.append((time.perf_counter() - start) / count)
        return min(times)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert fastest(lambda: model.predict(state), 200) * 100 < fastest(lambda: theirs.predict(state), 5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", (0, 0)), ("x", (1, 0)), ("x**2*y", (2, 1)), ("y*x", (1, 1)), ("sin(x)", None), ("x*", None), ("x**y", None),
     ("z", None), ("x y", None), ("x**99", None), ("-x", None)],
)  # fmt: skip
def test_monomials_are_read_and_nothing_else(text, expected):
    assert monomial_exponents(text, ("x", "y")) == expected


def test_one_state_in_plain_numbers_is_the_array_computation():
    rng = np.random.default_rng(0)
    terms = [term.text for term in PolynomialLibrary(4).terms("xyz")]
    law = Discovery(
        tuple("xyz"), ("", "", ""), {name: dict(zip(terms, rng.normal(size=len(terms)), strict=True)) for name in "xyz"}
    )
    x = rng.normal(size=(10, 3))
    single = polynomial_of(law.coefficients, law.names)
    assert single is not None
    for row, expected in zip(x, law.predict(x), strict=True):
        np.testing.assert_allclose(single(row.tolist()), expected, rtol=1e-12)
        np.testing.assert_allclose(law.predict(row), expected, rtol=1e-12)
    assert polynomial_of({"x": {"sin(x)": 1.0}}, ("x",)) is None


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({}, {}, "requires y to be passed, but the target y is None.*as t="),
        ({}, {"y": 0.01}, "a time step is given by name: t=0.01"),
        ({}, {"y": np.ones((50, 2)), "t": 0.1}, "not both"),
        ({}, {"y": np.ones((50, 2)), "u": np.ones((50, 1))}, "u goes with trajectories"),
        ({"known": "x' = y"}, {"y": np.ones((50, 2))}, "known needs trajectories"),
        ({"method": "STLSQ", "known": "x' = y"}, {"t": 0.1}, "known needs method='evidence', not 'STLSQ'"),
        ({"method": "STSLQ"}, {"t": 0.1}, "did you mean 'STLSQ'"),
        ({"method": 3}, {"t": 0.1}, "must be a name or an object"),
        ({"method": "SSR", "threshold": 1.0}, {"t": 0.1}, "SSR has no setting 'threshold'"),
        ({"threshold": 1.0}, {"t": 0.1}, "threshold has no meaning for method='evidence'"),
        ({"degree": 2, "library": ["x"]}, {"t": 0.1}, "not both"),
        ({"degree": 2, "library": ["x"]}, {"y": np.ones((50, 2))}, "not both"),
        ({"names": "a"}, {"t": 0.1}, "names must be 2"),
        ({"names": "a,a"}, {"y": np.ones((50, 2))}, "names must be 2 different names"),
        ({"library": FormulaLibrary(("log(x)",))}, {"y": np.ones((50, 2))}, r"the term 'log\(x\)' has no finite"),
        ({"method": "ensemble", "kind": "boosting"}, {"t": 0.1}, "kind must be one of"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_by_name(settings, arguments, message):
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ArgumentError, match=message):
        SINDy(**settings).fit(x, **arguments)


def test_times_in_the_place_of_rates_are_noticed():
    t, x = lorenz(end=1.0)
    with pytest.warns(ProblemWarning, match="give times by name: t="):
        SINDy(degree=1).fit(x, t)
