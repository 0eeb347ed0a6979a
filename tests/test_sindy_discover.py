"""Discovery of ordinary equations: right laws, invariances, and answers that say when they are not to be trusted."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciml import classical, sindy
from sciml.errors import ArgumentError, NotationError

LORENZ = {
    "x": {"x": -10.0, "y": 10.0},
    "y": {"x": 28.0, "y": -1.0, "x*z": -1.0},
    "z": {"z": -8 / 3, "x*y": 1.0},
}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def _lorenz(t: float, s: np.ndarray) -> list[float]:
    x, y, z = s
    return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]


def _solve(function, initial, times: np.ndarray) -> np.ndarray:
    return solve_ivp(function, (times[0], times[-1]), initial, "DOP853", times, rtol=1e-11, atol=1e-12).y.T


@functools.cache
def _clean(seconds: float, initial: tuple[float, ...] = (-8.0, 7.0, 27.0)) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(0, seconds - 1e-9, 0.01)
    states = _solve(_lorenz, initial, times)
    times.setflags(write=False)
    states.setflags(write=False)
    return times, states


def _noisy(states: np.ndarray, level: float, seed: int = 0) -> np.ndarray:
    size = np.sqrt(np.mean(states**2, axis=0))
    return states + level * size * np.random.default_rng(seed).normal(size=states.shape)


def _support(law: sindy.Discovery) -> dict[str, set[str]]:
    return {name: set(terms) for name, terms in law.coefficients.items()}


def _is_lorenz(law: sindy.Discovery) -> bool:
    return _support(law) == {name: set(terms) for name, terms in LORENZ.items()}


@functools.cache
def _law(level: float = 0.01, seconds: float = 3.0) -> sindy.Discovery:
    t, x = _clean(seconds)
    return sindy.discover(t, _noisy(x, level), degree=3)


# -- right laws --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "seconds"), [(0.01, 2.5), (0.05, 5.0), (0.10, 8.0)])
def test_lorenz_is_found_in_short_noisy_records_without_a_setting(level: float, seconds: float) -> None:
    t, x = _clean(seconds)
    law = sindy.discover(t, _noisy(x, level, 1), degree=5)
    assert _is_lorenz(law)
    for name, terms in LORENZ.items():
        for term, value in terms.items():
            error = law.standard_errors[name][term]
            assert 0 < error < 0.1 * max(abs(value), 1.0)
            assert abs(law.coefficients[name][term] - value) < 4 * error
        assert law.noise[name] == pytest.approx(level * np.sqrt(np.mean(x[:, "xyz".index(name)] ** 2)), rel=0.15)
    size = np.sqrt(np.mean(x**2, axis=0))
    assert (np.sqrt(np.mean((law.states[0] - x) ** 2, axis=0)) < 0.4 * level * size).all()


def test_clean_data_give_coefficients_to_six_digits() -> None:
    t, x = _clean(3.0)
    law = sindy.discover(t, x)
    assert law.trusted
    assert _is_lorenz(law)
    for name, terms in LORENZ.items():
        for term, value in terms.items():
            assert law.coefficients[name][term] == pytest.approx(value, rel=1e-6)


def test_the_answer_is_a_problem_that_the_classical_solver_takes() -> None:
    t, x = _clean(3.0)
    law = _law()
    solution = classical.solve(law.problem(t=(0, 1), initial=x[0]), rtol=1e-8)
    assert solution.success
    expected = law.simulate(x[0], t[:101]).states
    found = np.stack([solution(t[:101])[name] for name in "xyz"], axis=1)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(found - x[:101]).max() < 0.5


def test_weights_and_inclusion_are_probabilities() -> None:
    law = _law()
    weights = [alternative.weight for alternative in law.alternatives]
    assert weights == sorted(weights, reverse=True)
    assert law.diagnostics["weight"] + sum(weights) <= 1 + 1e-9
    assert weights[0] <= law.diagnostics["weight"]
    for name, terms in law.coefficients.items():
        assert set(terms) <= set(law.inclusion[name])
        assert all(0 <= p <= 1 for p in law.inclusion[name].values())


def test_several_short_trajectories_are_one_record() -> None:
    starts = [(-8.0, 7.0, 27.0), (5.0, -6.0, 20.0), (1.0, 2.0, 30.0), (-3.0, -9.0, 15.0)]
    records = [_clean(1.0, start) for start in starts]
    noisy = [_noisy(x, 0.02, k) for k, (_, x) in enumerate(records)]
    law = sindy.discover([t for t, _ in records], noisy, degree=3)
    assert _is_lorenz(law)
    assert [len(states) for states in law.states] == [100, 100, 100, 100]


def test_a_known_equation_is_kept_and_an_open_one_is_completed() -> None:
    t, x = _clean(2.0)
    y = _noisy(x, 0.01)
    law = sindy.discover(t, y, degree=3, known="z' = x*y - 8/3*z")
    assert law.coefficients["z"] == pytest.approx({"x*y": 1.0, "z": -8 / 3})
    assert _is_lorenz(law)
    law = sindy.discover(t, y, degree=3, known=["y' = 28*x - y + ..."])
    assert law.coefficients["y"]["x"] == 28
    assert law.coefficients["y"]["x*z"] == pytest.approx(-1, abs=0.01)


def test_a_forbidden_term_is_in_no_model() -> None:
    t, x = _clean(2.0)
    law = sindy.discover(t, _noisy(x, 0.01), degree=2, forbidden={"y": ["z*x"]})
    assert "x*z" not in law.inclusion["y"]
    assert not law.trusted


def test_libraries_may_differ_from_equation_to_equation() -> None:
    t, x = _clean(2.0)
    library = {
        "x": sindy.FormulaLibrary(("x", "y")),
        "y": sindy.PolynomialLibrary(3),
        "z": sindy.PolynomialLibrary(2, constant=False),
    }
    law = sindy.discover(t, _noisy(x, 0.01), library=library)
    assert _is_lorenz(law)
    assert set(law.inclusion["x"]) <= {"x", "y"}
    assert "1" not in law.inclusion["z"]


def test_a_pendulum_needs_its_sine() -> None:
    t = np.arange(0, 20, 0.02)
    x = _solve(lambda t, s: [s[1], -np.sin(s[0]) - 0.1 * s[1]], (2.8, 0.0), t)
    library = sindy.PolynomialLibrary(3) + sindy.TrigonometricLibrary()
    law = sindy.discover(t, _noisy(x, 0.02), names=["angle", "speed"], library=library)
    assert _support(law) == {"angle": {"speed"}, "speed": {"sin(angle)", "speed"}}


def test_a_forced_oscillator_is_found_with_its_input() -> None:
    t = np.arange(0, 15, 0.02)
    force = np.sin(t) + np.cos(2.3 * t)
    x = _solve(lambda t, s: [s[1], -s[0] - 0.3 * s[1] - s[0] ** 3 + np.sin(t) + np.cos(2.3 * t)], (1.0, 0.0), t)
    law = sindy.discover(t, _noisy(x, 0.01), degree=3, control=force, control_names="F", names="q,v")
    assert _support(law) == {"q": {"v"}, "v": {"q", "v", "q**3", "F"}}
    again = law.simulate(x[0], t, control=lambda s: np.sin(s) + np.cos(2.3 * s))
    assert np.abs(again.states - x).max() < 0.1


def test_a_map_is_found_from_its_iterates() -> None:
    rows = [[0.1, 0.1]]
    for _ in range(299):
        a, b = rows[-1]
        rows.append([1 - 1.4 * a * a + b, 0.3 * a])
    law = sindy.discover(None, np.array(rows), discrete=True, degree=3)
    assert law.kind == "map"
    assert law.coefficients["x"] == pytest.approx({"1": 1.0, "y": 1.0, "x**2": -1.4}, rel=1e-6)
    assert law.coefficients["y"] == pytest.approx({"x": 0.3}, rel=1e-6)
    assert law.equations[1].startswith("y_next = ")
    assert np.allclose(law.simulate(rows[0], 5).states, rows[:5], atol=1e-6)
    with pytest.raises(ArgumentError, match="map"):
        law.problem()


# -- messy records -----------------------------------------------------------------------------------------------------


def _messy(kind: str) -> tuple[np.ndarray, np.ndarray]:
    t, x = _clean(6.0)
    rng = np.random.default_rng(5)
    y = _noisy(x, 0.025)
    if kind == "missing entries":
        y[rng.random(y.shape) < 0.2] = np.nan
    elif kind == "missing times":
        keep = rng.random(len(t)) > 0.2
        t, y = t[keep], y[keep]
    elif kind == "garbage":
        y = np.where(rng.random(y.shape) < 0.05, rng.uniform(-40, 60, y.shape), y)
    elif kind == "irregular times":
        t = np.sort(rng.uniform(0, 6, 600))
        y = _noisy(_solve(_lorenz, (-8, 7, 27), np.append(0.0, t))[1:], 0.025)
    return t, y


@pytest.mark.parametrize("kind", ["missing entries", "missing times", "garbage", "irregular times"])
def test_lorenz_is_found_in_a_messy_record(kind: str) -> None:
    law = sindy.discover(*_messy(kind), degree=3)
    assert _is_lorenz(law)
    assert np.isfinite(law.states[0]).all()
    rejected = law.diagnostics["rejected"]
    assert 50 < rejected < 130 if kind == "garbage" else rejected < 5


def test_samples_of_the_same_time_are_averaged() -> None:
    t, x = _clean(3.0)
    law = sindy.discover(np.repeat(t, 2), _noisy(np.repeat(x, 2, axis=0), 0.02), degree=3)
    assert law.diagnostics["duplicates"] == 300
    assert _is_lorenz(law)


# -- invariances -------------------------------------------------------------------------------------------------------


def _same(law: sindy.Discovery, other: sindy.Discovery, factor=lambda name, term: 1.0) -> None:
    """Compare up to the order of the factors of a term: it is the order of the unknowns."""
    for name, terms in law.coefficients.items():
        expected = {"*".join(sorted(term.split("*"))): value * factor(name, term) for term, value in terms.items()}
        found = {"*".join(sorted(term.split("*"))): value for term, value in other.coefficients[name].items()}
        assert found == pytest.approx(expected, rel=1e-6)


def test_the_order_of_the_unknowns_changes_nothing() -> None:
    t, x = _clean(3.0)
    y = _noisy(x, 0.01)
    for order in itertools.permutations(range(3)):
        names = ["xyz"[k] for k in order]
        other = sindy.discover(t, y[:, order], names=names, degree=3)
        _same(_law(), other)


def test_units_of_time_and_states_change_nothing_but_the_coefficients() -> None:
    t, x = _clean(3.0)
    scale, second = {"x": 1e6, "y": 1.0, "z": 1e-6}, 1e3
    other = sindy.discover(t * second, _noisy(x, 0.01) * np.array(list(scale.values())), degree=3)

    def factor(name: str, term: str) -> float:
        return scale[name] / second / np.prod([scale[n] for n in term.split("*")])

    _same(_law(), other, factor)
    assert other.diagnostics["weight"] == pytest.approx(_law().diagnostics["weight"], rel=1e-4)


def test_the_order_of_the_trajectories_changes_nothing() -> None:
    t, x = _clean(3.0)
    y = _noisy(x, 0.01)
    parts = [slice(0, 90), slice(90, 200), slice(200, 300)]
    first = sindy.discover([t[p] for p in parts], [y[p] for p in parts], degree=3)
    second = sindy.discover([t[p] for p in parts[::-1]], [y[p] for p in parts[::-1]], degree=3)
    _same(first, second)


def test_a_second_call_gives_the_same_numbers() -> None:
    t, x = _clean(3.0)
    again = sindy.discover(t, _noisy(x, 0.01), degree=3)
    assert again.coefficients == _law().coefficients
    assert again.standard_errors == _law().standard_errors


# -- never a confident wrong law ---------------------------------------------------------------------------------------


def test_a_library_that_lacks_a_true_term_is_reported() -> None:
    t, x = _clean(4.0)
    for level in (0.0, 0.01):
        law = sindy.discover(t, _noisy(x, level), degree=1)
        assert not law.trusted
        assert "does not explain" in law.message
        assert law.diagnostics["misfit"] > 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_pure_noise_has_no_trusted_law(seed: int) -> None:
    law = sindy.discover(0.01, np.random.default_rng(seed).normal(size=(200, 2)), degree=3)
    assert not law.trusted
    assert law.message


@pytest.mark.parametrize("value", [0.0, 1.0, -1e6])
def test_a_constant_signal_has_no_law(value: float) -> None:
    law = sindy.discover(0.1, np.full((100, 2), value), degree=2)
    assert not law.trusted
    assert "nothing moves" in law.message


@pytest.mark.parametrize("level", [0.0, 0.01])
def test_a_linear_decay_is_found(level: float) -> None:
    t = np.linspace(0, 3, 200)
    law = sindy.discover(t, _noisy(np.exp(-t)[:, None], level))
    assert set(law.coefficients["x"]) == {"x"}
    assert law.coefficients["x"]["x"] == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize("stride", [1, 5, 10])
def test_thirty_samples_are_right_or_not_trusted(stride: int) -> None:
    t, x = _clean(3.0)
    law = sindy.discover(t[::stride][:30], _noisy(x, 0.01)[::stride][:30], degree=3)
    assert _is_lorenz(law) or not law.trusted


def test_lynx_and_hare_obey_lotka_and_volterra() -> None:
    path = DATA / "hudson_bay_lynx_hare.dat"
    if not path.exists():
        pytest.skip("the record of the Hudson Bay Company is not there")
    table = np.loadtxt(path)
    law = sindy.discover(table[:, 0], table[:, 1:], names="hare,lynx")
    assert _support(law) == {"hare": {"hare", "hare*lynx"}, "lynx": {"lynx", "hare*lynx"}}
    for name, (birth, death) in {"hare": (0.55, -0.028), "lynx": (-0.84, 0.026)}.items():
        lower, upper = law.intervals[name][name]
        assert lower < birth < upper
        lower, upper = law.intervals[name]["hare*lynx"]
        assert lower < death < upper


# -- wrong calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ["a", "b"]}, "names must be 3"),
        ({"names": ["x", "x", "z"]}, "twice"),
        ({"names": ["t", "y", "z"]}, "names"),
        ({"degree": 2, "library": ["x"]}, "not both"),
        ({"known": "w' = x"}, "known"),
        ({"known": ["x' = y", "x' = z"]}, "two equations"),
        ({"forbidden": ["x**9"]}, "no term"),
        ({"forbidden": {"w": ["x"]}}, "no unknown"),
        ({"noise": [0.1, 0.2]}, "noise"),
        ({"noise": -1.0}, "positive"),
        ({"control": np.zeros(7)}, "control"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_a_wrong_argument_is_named(change: dict, said: str) -> None:
    t, x = _clean(1.0)
    with pytest.raises(ArgumentError, match=said):
        sindy.discover(t, x, **change)


@pytest.mark.parametrize(
    ("t", "x", "said"),
    [
        (np.arange(5.0), np.zeros((5, 2)), "at least 8 samples"),
        (np.arange(9.0), np.zeros((10, 2)), "one time for each row"),
        (np.arange(10.0)[::-1], np.zeros((10, 2)), "must not decrease"),
        (np.full(10, np.nan), np.zeros((10, 2)), "finite"),
        (-0.1, np.zeros((10, 2)), "positive"),
        ("now", np.zeros((10, 2)), "t must be"),
        (0.1, np.full((10, 2), np.nan), "no finite"),
        (0.1, np.full((10, 2), np.inf), "infinities"),
        (0.1, np.zeros((10, 2), dtype=complex), "real"),
        (0.1, [np.zeros((10, 2)), np.zeros((10, 3))], "same number of columns"),
        ([np.arange(10.0)], [np.zeros((10, 2))] * 2, "trajectories"),
        (0.1, "samples", "numbers"),
    ],
)
def test_wrong_data_are_refused(t, x, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        sindy.discover(t, x)


def test_formulas_are_read_never_executed() -> None:
    t, x = _clean(1.0)
    with pytest.raises((ArgumentError, NotationError)):
        sindy.discover(t, x, library=["__import__('os').getcwd()"])
