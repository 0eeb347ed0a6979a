"""Discovery as a scikit-learn estimator with the method names of pysindy."""

from __future__ import annotations

import numbers
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from sciml.data_names import refuse_words
from sciml.errors import ArgumentError, ProblemWarning
from sciml.sindy.adoption import library_of
from sciml.sindy.discover import discover
from sciml.sindy.discovery import Discovery
from sciml.sindy.exports import equation_text, left_side, rates
from sciml.sindy.libraries import Library, PolynomialLibrary
from sciml.sindy.regression import SMOOTHED, law_of, library_for, offered_library, regress, rows_of
from sciml.sindy.request import request_of
from sciml.sindy.samples import prepare
from sciml.sindy.simulation import Simulation
from sciml.sindy.trajectories import usable

__all__ = ["SINDy"]

_DEFAULT_NAMES = {1: ("x",), 2: ("x", "y"), 3: ("x", "y", "z")}


@final
class SINDy(BaseEstimator):
    r"""Sparse identification of nonlinear dynamics: :math:`x' = \Xi\, \theta(x)` with few coefficients.

    There are two ways to fit it. `fit(X, t=t)` takes sampled trajectories, as pysindy does, whose rows have an
    order in time. `fit(X, y)` takes states and their measured rates in any order, as a scikit-learn regressor does.
    Either way `predict` maps states to rates.

    Parameters
    ----------
    method : "evidence" or "ensemble" or the name of a pysindy optimizer or such an object
        "evidence" estimates states and terms together by likelihood (`sindy.discover`) and has nothing to choose;
        "ensemble" is Ensemble-SINDy (`sciml.sindy.ensembles`); "STLSQ", "SR3", "SSR", "FROLS", "MIOSR" (where
        installed) or an optimizer object of pysindy regress once, on smoothed states.
    library : Library, texts in the notation, or a pysindy library; polynomials if absent.
    degree : int, optional
        of the polynomial library; as high as the data allow if absent.
    names : of the unknowns; those of the data frame's columns, or x, y, z, or x1, x2, ... if absent.
    discrete : whether rows of X are successive states of a map.
    missing : whether NaN in X means "not measured"; otherwise NaN is refused. For `fit(X, y)` such rows are left out.
    known, forbidden, noise : as of `sindy.discover`, for trajectories with method="evidence".
    kind, members, inclusion : as of `sciml.sindy.ensembles.ensemble`, for method="ensemble".
    threshold, ridge : of an ensemble's members or of a pysindy optimizer that is given by name (there the ridge is
        alpha). An ensemble without a threshold chooses one for each equation.
    seed : of the random numbers of an ensemble.

    Attributes
    ----------
    law_ : Discovery
        the equations with standard errors, alternatives, exports; after `fit(X, y)` only if y has a column for each
        state.
    coef_ : [m, p]; n_features_in_ : int; feature_names_in_ : of a data frame.

    Raises
    ------
    ArgumentError
        which is a `ValueError`, for wrong parameters or data.

    Notes
    -----
    `sklearn.utils.estimator_checks.check_estimator` passes: with y it is a regressor. `fit(X, t=t)` cannot fulfil what
    scikit-learn assumes elsewhere: rows of a trajectory must not be shuffled or split at random (use `TimeSeriesSplit`
    or whole trajectories). `t` is given by name, since the second position is y. Ensembles and pysindy's optimizers
    regress on smoothed states as if these were exact; with large libraries and noise "evidence" is far more reliable.

    Brunton, Proctor and Kutz 2016, doi:10.1073/pnas.1517384113.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 10, 400)
    >>> model = SINDy(degree=2).fit(np.stack([np.cos(t), -np.sin(t)], axis=1), t=t)
    >>> model.print(precision=3)
    x' = y
    y' = -x
    """

    def __init__(
        self,
        method: Any = "evidence",
        *,
        library: Any = None,
        degree: int | None = None,
        names: Sequence[str] | str | None = None,
        discrete: bool = False,
        missing: bool = False,
        known: Any = None,
        forbidden: Any = None,
        noise: Any = None,
        kind: str = "bragging",
        members: int = 200,
        inclusion: float = 0.6,
        threshold: float | None = None,
        ridge: float | None = None,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.library = library
        self.degree = degree
        self.names = names
        self.discrete = discrete
        self.missing = missing
        self.known = known
        self.forbidden = forbidden
        self.noise = noise
        self.kind = kind
        self.members = members
        self.inclusion = inclusion
        self.threshold = threshold
        self.ridge = ridge
        self.seed = seed

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, *, t: Any = None, u: Any = None) -> SINDy:
        """Find the equations.

        Parameters
        ----------
        X : array [N, d], or a list of trajectories
        y : array [N] or [N, m], measured rates of change (of a map, the next states); absent for trajectories.
        t : times [N], a list of them, or the time step; a map (`discrete=True`) needs none.
        u : control inputs [N, c], or a list of them.

        Returns
        -------
        self
        """
        begin = time.perf_counter()
        self._reset()
        if y is None and (t is not None or self.discrete):
            return self._fit_trajectories(X, t, u, begin)
        if t is not None:
            raise ArgumentError("give y (measured rates) or t (times of trajectories), not both")
        if y is None:
            raise ArgumentError(
                "SINDy requires y to be passed, but the target y is None: give measured rates as y, or for "
                "trajectories the sampling times or the time step as t="
            )
        if isinstance(y, numbers.Number):
            raise ArgumentError(f"y must be an array of rates; a time step is given by name: t={y!r}")
        if u is not None:
            raise ArgumentError("u goes with trajectories; with y, give the control inputs as further columns of X")
        return self._fit_rates(X, y, begin)

    def _reset(self) -> None:
        for name in ("law_", "coef_", "feature_names_in_", "n_features_in_"):
            self.__dict__.pop(name, None)

    def _fit_trajectories(self, X: Any, t: Any, u: Any, begin: float) -> SINDy:
        records = X if _several(X) else [X]
        checked = [self._checked(record, reset=True) for record in records]
        x = checked if _several(X) else checked[0]
        names = self._names(checked[0].shape[1])
        asked = {
            "names": names,
            "library": self.library,
            "degree": self.degree,
            "control": u,
            "known": self.known,
            "forbidden": self.forbidden,
            "noise": self.noise,
            "discrete": bool(self.discrete),
            "seed": self.seed,
        }
        if isinstance(self.method, str) and self.method == "evidence":
            for name in ("threshold", "ridge"):
                if getattr(self, name) is not None:
                    raise ArgumentError(f"{name} has no meaning for method='evidence', which chooses terms itself")
            law = discover(t, x, **asked)
            library = offered_library(law, self.library, self.degree)
        else:
            for name in ("known", "forbidden", "noise"):
                if asked[name] is not None:
                    raise ArgumentError(f"{name} needs method='evidence', not {self.method!r}")
            request = request_of(t=t, x=x, control_names=None, many=True, **asked)
            samples = prepare(request)
            library = request.libraries[-1]
            basis, features, targets = rows_of(request, samples, library)
            found = regress(features, targets, basis, self.method, **self._settings(), floor=SMOOTHED)
            record = request.trajectories
            law = law_of(
                found,
                basis,
                record.names,
                control=record.control_names,
                begin=begin,
                seed=self.seed,
                kind="map" if self.discrete else "flow",
                request=request,
                samples=samples,
            )
        self._keep(law, library)
        return self

    def _fit_rates(self, X: Any, y: Any, begin: float) -> SINDy:
        for name in ("known", "forbidden", "noise"):
            if getattr(self, name) is not None:
                raise ArgumentError(f"{name} needs trajectories: fit(X, t=t)")
        pair = self._validated(X, y, multi_output=True, y_numeric=True)
        states, target = (np.asarray(part, dtype=np.float64) for part in pair)
        complete = np.isfinite(states).all(axis=1)
        states, target = states[complete], target[complete]
        if len(states) < 3:
            raise ArgumentError(f"at least 3 samples are needed, got {len(states)} sample{'s' * (len(states) != 1)}")
        d, columns = states.shape[1], target.reshape(len(target), -1)
        if target.ndim == 1 and d > 1 and (np.diff(target) > 0).all():
            advice = "y increases like times, but is taken for a rate; give times by name: t="
            warnings.warn(advice, ProblemWarning, stacklevel=3)
        names = self._names(d)
        library = self._library(names, len(states))
        basis = library.bind(names)
        found = regress(basis.values(states), columns, basis, self.method, **self._settings())
        self.coef_ = found.coefficients
        self._basis, self._flat = basis, target.ndim == 1
        self._names_out = names if columns.shape[1] == d else tuple(f"y{k}" for k in range(columns.shape[1]))
        if columns.shape[1] == d:
            kind = "map" if self.discrete else "flow"
            self.law_ = law_of(found, basis, names, kind=kind, begin=begin, seed=self.seed)
        return self

    def _settings(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n in ("kind", "members", "inclusion", "threshold", "ridge", "seed")}

    def _checked(self, X: Any, *, reset: bool) -> np.ndarray:
        if not hasattr(X, "columns") and np.asarray(X).dtype.kind == "b":
            raise ArgumentError("X must be real numbers, not truth values; if 0 and 1 are meant, give X.astype(float)")
        return np.asarray(self._validated(X, reset=reset))

    def _validated(self, *given: Any, **how: Any) -> Any:
        finite: Any = "allow-nan" if self.missing else True
        try:
            return validate_data(self, *given, dtype=np.float64, ensure_all_finite=finite, **how)
        except ValueError as error:
            # scikit-learn goes on to recommend estimators that have nothing to do with equations.
            if str(error).startswith("Input X contains NaN"):
                advice = "SINDy(missing=True) takes NaN for missing samples, and with y leaves such rows out"
                raise ArgumentError(f"Input X contains NaN: {advice}") from None
            raise

    def _names(self, count: int) -> tuple[str, ...]:
        given = self.names
        if given is None:
            given = tuple(self.__dict__.get("feature_names_in_", ()))
            if not usable(given):
                given = _DEFAULT_NAMES.get(count, tuple(f"x{k + 1}" for k in range(count)))
        names = tuple(part.strip() for part in given.split(",")) if isinstance(given, str) else tuple(given)
        refuse_words([name for name in names if isinstance(name, str)], "names")
        if len(names) != count or not usable(names):
            raise ArgumentError(f"names must be {count} different names, one for each column, got {list(names)}")
        return names

    def _library(self, names: Sequence[str], samples: int) -> Library:
        if self.library is not None and self.degree is not None:
            raise ArgumentError("give library or degree, not both")
        if self.library is not None:
            return library_of(self.library, names)
        return library_for(samples, names) if self.degree is None else PolynomialLibrary(self.degree)

    def _keep(self, law: Discovery, library: Library) -> None:
        self._basis = library.bind((*law.names, *law.control))
        texts = list(self._basis.texts)
        coefficients = np.zeros((len(law.names), len(texts)))
        for row, name in zip(coefficients, law.names, strict=True):
            for text, value in law.coefficients[name].items():
                if text in texts:
                    row[texts.index(text)] = value
        self.law_, self.coef_ = law, coefficients
        self._names_out, self._flat = law.names, False

    # -- the law as a function -------------------------------------------------------------------------------------

    def predict(self, X: Any, u: Any = None) -> Any:
        """Return the rates (of a map, the next states) at states X [N, d], or at each of a list of trajectories."""
        law: Discovery | None = self.__dict__.get("law_")
        if (
            law is not None
            and u is None
            and type(X) is np.ndarray
            and X.dtype == np.float64
            and X.ndim == 2
            and X.shape[1] == len(law.names)
            and len(X)
            and np.isfinite(X.sum())
            and "feature_names_in_" not in self.__dict__
            and not self._flat
        ):
            return rates(law, X)
        check_is_fitted(self, "coef_")
        if _several(X):
            return [self.predict(*pair) for pair in zip(X, [None] * len(X) if u is None else u, strict=True)]
        states = self._checked(X, reset=False)
        if law is not None and not self._flat:
            return rates(law, states, u)
        with np.errstate(all="ignore"):
            found = self._basis.values(states) @ self.coef_.T
        return found[:, 0] if self._flat else found

    def simulate(
        self,
        x0: Any,
        t: Any,
        u: Callable[[float], Any] | np.ndarray | None = None,
        *,
        rtol: float = 1e-8,
        atol: float | None = None,
    ) -> Simulation:
        """Solve the equations from x0 [d], or from many initial states [B, d] at once; see `Discovery.simulate`.

        Returns
        -------
        Simulation
            indexed like its states [T, d] or [B, T, d]: always T rows, NaN after a blow-up, with a status.
        """
        return self._law().simulate(x0, t, control=u, rtol=rtol, atol=atol)

    def score(self, X: Any, y: Any = None, *, t: Any = None, u: Any = None) -> float:
        """Return R2: of predicted rates against y, or of the increments of trajectories against the law's integrals."""
        check_is_fitted(self, "coef_")
        if y is None and (t is not None or self.discrete):
            return self._law().score(X, 1.0 if t is None else t, control=u)
        if y is None:
            raise ArgumentError("score needs y (measured rates) or t (times of trajectories)")
        from sklearn.metrics import r2_score

        return float(r2_score(y, self.predict(X, u)))

    # -- the law as text -------------------------------------------------------------------------------------------

    def equations(self, precision: int = 3) -> list[str]:
        """Return the right-hand sides as text, with so many significant digits."""
        check_is_fitted(self, "coef_")
        law: Discovery | None = self.__dict__.get("law_")
        if law is not None:  # which may have known terms that are not in the library
            tables = [law.coefficients[name] for name in law.names]
        else:
            texts = self._basis.texts
            tables = [{texts[j]: float(row[j]) for j in np.flatnonzero(row)} for row in self.coef_]
        return [equation_text("", table, precision).removeprefix(" = ") for table in tables]

    def print(self, lhs: Sequence[str] | None = None, precision: int = 3, **options: Any) -> None:
        """Print the equations; `lhs` are other left-hand sides, `options` go to `print`."""
        sides = self.equations(precision)
        kind = "map" if self.discrete else "flow"
        lefts = [left_side(name, kind) for name in self._names_out] if lhs is None else list(lhs)
        if len(lefts) != len(sides):
            raise ArgumentError(f"lhs must be {len(sides)} texts, one for each equation, got {len(lefts)}")
        for left, side in zip(lefts, sides, strict=True):
            print(f"{left} = {side}", **options)

    def get_feature_names(self) -> list[str]:
        """Return the terms of the library as text, in the order of the columns of `coefficients`."""
        check_is_fitted(self, "coef_")
        return list(self._basis.texts)

    def coefficients(self) -> np.ndarray:
        """Return the coefficients [m, p], a row for each equation."""
        check_is_fitted(self, "coef_")
        return self.coef_

    @property
    def complexity(self) -> int:
        """The number of terms in all equations."""
        check_is_fitted(self, "coef_")
        return int(np.count_nonzero(self.coef_))

    def _law(self) -> Discovery:
        if "law_" not in self.__dict__:
            if "coef_" in self.__dict__:
                raise ArgumentError("y has not a column for each state, so these equations cannot be solved in time")
            raise NotFittedError("this SINDy is not fitted yet; call fit first")
        return self.law_

    def __sklearn_tags__(self) -> Tags:
        """Return what scikit-learn may assume: a regressor of one or many targets."""
        from sklearn.utils import RegressorTags

        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        tags.target_tags.required = tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = bool(self.missing)
        return tags


def _several(X: Any) -> bool:
    return isinstance(X, (list, tuple)) and len(X) > 0 and np.ndim(X[0]) == 2
