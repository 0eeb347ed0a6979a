"""Errors in variables: states and coefficients of a law together, by maximum likelihood.

The states x are unknown; samples y = x + noise of variances S; the law holds up to a small model error: the defects
g(x, Xi) = A x - B Theta(x) Xi have the variances M. Gauss-Newton eliminates the states: linearised at x, with
J = A - B Df and r = A x + J (y - x),

    r - T Xi ~ N(0, C),    C = J S J' + M,    T = B Theta(x),

so that one weighted least-squares problem gives the coefficients, and x <- y - S J' C^-1 (r - T Xi) the states. The
model error is lowered step by step, as the likelihood allows: this continuation finds the basin of the global maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
from scipy.linalg import LinAlgError

from sciml.sindy.bases import Basis
from sciml.sindy.defects import Covariance, Defects
from sciml.sindy.selection import Factor, likelihood, search

__all__ = ["Estimate", "Linearisation", "System", "criterion", "increments", "linearise", "refine"]

# Model error relative to the increments: where it starts, and below which the law counts as holding.
FIRST_ERROR, LAST_ERROR, HOLDS = 0.3, 1e-5, 1e-3
HALF = 10**0.5
NOISE_FLOOR = 3e-4
PROBES = 6
# Part of the largest variance that counts as nothing.
ROUNDING = 1e-10
# Steps for which the model error may stay where it is, above HOLDS.
PATIENCE = 6
# After so many of them the noise is estimated anew in spite of it, and may grow by this factor a step where that is
# more likely than a model error.
STUCK, MORE_NOISE = 2, 1.5


@final
@dataclass(frozen=True, eq=False)
class System:
    """What is fitted, in scaled units: data, operator, terms.

    Attributes
    ----------
    y : samples [N, d], filled in where there are none
    spread : variance factors [N, d]: 1 for samples in use, large for the others
    inputs : control inputs [N, c]
    defects : the operator
    basis : of the terms, in unknowns and inputs
    penalty : [p, d], of each term in each equation
    allowed : bool [p, d], which terms may stand in which equation
    known, fixed : a basis of known terms and its coefficients [k, d], or None
    floor : least standard deviation of the noise
    fixed_noise : bool [d], whose noise is known and not estimated, or None
    smoothed_noise : [d], the noise by the smoother, or None.
    """

    y: np.ndarray
    spread: np.ndarray
    inputs: np.ndarray
    defects: Defects
    basis: Basis
    penalty: np.ndarray
    allowed: np.ndarray
    known: Basis | None = None
    fixed: np.ndarray | None = None
    floor: float = NOISE_FLOOR
    fixed_noise: np.ndarray | None = None
    smoothed_noise: np.ndarray | None = None

    @property
    def effective(self) -> int:
        """How many equations the data amount to: the samples, less one state for each record."""
        return max(int((self.spread == 1).sum()) - (self.defects.nodes - self.defects.count) * self.y.shape[1], 1)

    @property
    def most_noise(self) -> np.ndarray | float:
        """What the noise may be while the law does not hold: the smoother's, and what that may be wrong by."""
        if self.smoothed_noise is None:
            return np.inf
        return self.smoothed_noise * (1.3 + 5.0 / np.sqrt(self.effective / self.y.shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of terms and of unknowns."""
        return self.penalty.shape  # type: ignore[return-value]


@final
@dataclass(frozen=True, eq=False)
class Linearisation:
    """The problem linearised at states x and coefficients Xi.

    Attributes
    ----------
    features : T = B Theta [n, p]; offset : B f of the known terms [n, d]
    target : r - B f_known [n, d]
    jacobian : blocks of J
    band : J S J' for the present noise
    doubt : variances of the quadrature error [n, d]
    """

    features: np.ndarray
    target: np.ndarray
    jacobian: np.ndarray
    band: np.ndarray
    doubt: np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Estimate:
    """Where the fit stands.

    Attributes
    ----------
    x : states [N, d]; coefficients : [p, d]; support : flat indices into them (term * d + equation)
    error : tau, the model error relative to the increments; noise : [d]
    rss, logdet : of the whitened defects and of their covariance
    step : squared length of the last step of the coefficients in standard errors
    converged : whether it is short and the support at rest
    covariance : of the coefficients on the support
    visited : supports that were passed, as tuples.
    """

    x: np.ndarray
    coefficients: np.ndarray
    support: np.ndarray
    error: float
    noise: np.ndarray
    rss: float = np.inf
    logdet: float = np.inf
    step: float = np.inf
    converged: bool = False
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    visited: tuple[tuple[int, ...], ...] = ()


def linearise(system: System, x: np.ndarray, coefficients: np.ndarray, noise: np.ndarray) -> Linearisation:
    """Linearise the defects at states and coefficients."""
    z = np.concatenate([x, system.inputs], axis=1) if system.inputs.shape[1] else x
    d = x.shape[1]
    theta = system.basis.values(z)
    f = theta @ coefficients
    slopes = system.basis.slopes(z, theta, coefficients)[:, :, :d]
    defects = system.defects
    known = np.zeros_like(f)
    if system.known is not None and system.fixed is not None:
        values = system.known.values(z)
        known = values @ system.fixed
        slopes = slopes + system.known.slopes(z, values, system.fixed)[:, :, :d]
    jacobian = defects.jacobian(slopes)
    target = defects.differences(x) + defects.apply(jacobian, system.y - x) - defects.integrals(known)
    doubt = (defects.doubt @ (f + known)) ** 2
    band = defects.gram(jacobian, noise**2 * system.spread)
    return Linearisation(defects.integrals(theta), target, jacobian, band, doubt)


def increments(defects: Defects, x: np.ndarray) -> np.ndarray:
    """Return how much each unknown changes over each interval, typically: [n, d], in proportion to its length."""
    size = np.sqrt(np.mean(defects.differences(x) ** 2, axis=0))
    size = np.maximum(size, 1e-12 * np.max(size, initial=0.0) + 1e-200)
    return defects.lengths[:, None] / np.sqrt(np.mean(defects.lengths**2)) * size


def spread_out(features: np.ndarray, terms: np.ndarray, equations: np.ndarray, d: int) -> np.ndarray:
    """Return columns [n d, s]: the feature of each term in the rows of its equation."""
    # Rows are ordered by interval, then by equation.
    columns = np.zeros((len(features) * d, len(terms)), order="F")
    for k, (term, equation) in enumerate(zip(terms, equations, strict=True)):
        columns[equation::d, k] = features[:, term]
    return columns


def refine(
    system: System,
    begin: Estimate,
    *,
    select: bool,
    most: int = 40,
    tolerance: float = 1.0,
    least_error: float = LAST_ERROR,
    most_error: float = FIRST_ERROR,
    hold: int = 3,
    stop: Callable[[tuple[int, ...], float], bool] | None = None,
) -> Estimate | None:
    """Run Gauss-Newton from an estimate.

    Parameters
    ----------
    select : whether the support is searched anew in each step, after `hold` steps
    most : steps
    tolerance : squared length of a step, in standard errors, at which the fit has converged
    least_error : where the model error stops falling; most_error : above which it must not be
    stop : asked with each new support and model error whether to give up (another start has been there).

    Returns
    -------
    Estimate, or None if the iteration left the finite numbers.
    """
    p, d = system.shape
    now = begin
    visited: list[tuple[int, ...]] = list(begin.visited)
    defects = system.defects
    size = increments(defects, begin.x)
    still, lowest, since = 0, np.inf, 0
    for iteration in range(most):
        try:
            lin = linearise(system, now.x, now.coefficients, now.noise)
            if not (np.isfinite(lin.target).all() and np.isfinite(lin.features).all() and np.isfinite(lin.band).all()):
                return None
            free = since >= STUCK and not (system.fixed_noise is not None and system.fixed_noise.any())
            free = free and bool(np.all(MORE_NOISE * now.noise <= system.most_noise))
            error, growth, cov = _model_error(lin, now, size, (least_error, most_error), free)
        except (LinAlgError, ValueError, FloatingPointError):
            return None
        since = 0 if error < lowest * 0.999 or error <= HOLDS * 1.001 else since + 1
        lowest = min(lowest, error)
        if growth != 1.0:
            now = replace(now, noise=now.noise * growth)
        if since > PATIENCE:
            break
        right = cov.whiten(lin.target.ravel())
        support = now.support
        searching = select and iteration >= hold
        if searching:
            offered = np.flatnonzero(system.allowed.ravel())
            matrix = cov.whiten(spread_out(lin.features, offered // d, offered % d, d))
            problem = Factor.of(matrix, right, system.effective)
            place = np.searchsorted(offered, support)
            found = search(problem, system.penalty.ravel()[offered], place, np.ones(len(offered), dtype=bool))
            support = offered[found]
            values, rss = problem.solve(found)
            q = problem.columns[:, found] * problem.norms[found]
            gram = q.T @ q
        else:
            matrix = cov.whiten(spread_out(lin.features, support // d, support % d, d)) if len(support) else None
            if matrix is None:
                values, rss, gram = np.zeros(0), float(right @ right), np.zeros((0, 0))
            else:
                problem = Factor.of(matrix, right, system.effective)
                values, rss = problem.solve(np.arange(len(support)))
                q = problem.columns * problem.norms
                gram = q.T @ q
        coefficients = np.zeros((p, d))
        coefficients.ravel()[support] = values
        residual = lin.target - lin.features @ coefficients
        weights = cov.solve(residual.ravel()).reshape(residual.shape)
        back = defects.transpose(lin.jacobian, weights)
        noise_now = now.noise**2 * system.spread * back
        x = system.y - noise_now
        if not (np.isfinite(x).all() and np.isfinite(coefficients).all()):
            return None
        key = tuple(int(k) for k in support)
        same = len(support) == len(now.support) and bool((support == now.support).all())
        moved = (coefficients - now.coefficients).ravel()[support]
        step = float(moved @ gram @ moved) if same else np.inf
        noise = now.noise
        if error <= HOLDS * 1.001 or since >= STUCK:
            # A wrong ratio of the unknowns' noise looks like a model error, too.
            noise = _noise(system, lin, cov, noise_now, now.noise, len(support))
            if error > HOLDS * 1.001:
                noise = np.minimum(noise, np.maximum(system.most_noise, now.noise))
        steady = error == now.error or error <= least_error * 1.001
        quiet = bool(np.all(np.abs(np.log(noise / now.noise)) < 0.02))
        now = Estimate(x, coefficients, support, error, noise, rss, cov.logdet, step, False, gram, tuple(visited))
        if key not in visited:
            visited.append(key)
            if stop is not None and searching and stop(key, error):
                return replace(now, visited=tuple(visited))
        # Above HOLDS more noise must have been tried, and refused.
        tried = error <= HOLDS * 1.001 or (since > STUCK and growth == 1.0)
        still = still + 1 if same and step < tolerance and steady and quiet and tried else 0
        if still >= 1 and (not select or iteration > hold):
            now = replace(now, converged=True)
            break
    return replace(now, covariance=_inverse(now.covariance), visited=tuple(visited))


def _inverse(gram: np.ndarray) -> np.ndarray:
    if not gram.size:
        return gram
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return np.linalg.pinv(gram * scale[:, None] * scale, rcond=1e-14, hermitian=True) * scale[:, None] * scale


def _model_error(
    lin: Linearisation, now: Estimate, size: np.ndarray, limits: tuple[float, float], free: bool
) -> tuple[float, float, Covariance]:
    """Return the most likely model error among the present one and smaller ones, a factor of ten away at most.

    Where it is stuck (`free`), more noise than the smoother saw may explain what the law does not: the second number is
    the factor of the noise, one or `MORE_NOISE`.
    """
    d = now.coefficients.shape[1]
    # Every model error is judged with the coefficients that are best for it.
    columns = spread_out(lin.features, now.support // d, now.support % d, d)
    table = np.column_stack([columns, lin.target.ravel()])
    best: tuple[float, float, float, Covariance] | None = None
    # Never below the least one, but onto it: models are compared at the same model error where they can have it.
    tried = {max(now.error * step, min(limits[0], now.error)) for step in (HALF, 1.0, 1 / HALF, 0.1)}
    for factor in (1.0, MORE_NOISE) if free else (1.0,):
        band = lin.band if factor == 1.0 else lin.band * factor**2
        for error in sorted(tried, reverse=True):
            if error > limits[1] * 1.001:
                continue
            try:
                cov = Covariance(band, (error * size) ** 2 + lin.doubt)
            except LinAlgError:
                continue
            triangle = np.asarray(np.linalg.qr(cov.whiten(table), mode="r"))
            score = cov.logdet + float(triangle[-1, -1] ** 2)
            if best is None or score < best[0]:
                best = (score, error, factor, cov)
    if best is None:
        raise LinAlgError("no covariance of the defects is positive definite")
    return best[1:]


def _noise(
    system: System, lin: Linearisation, cov: Covariance, errors: np.ndarray, noise: np.ndarray, terms: int
) -> np.ndarray:
    """Return the noise re-estimated from the states' errors, by at most half as much again.

    The errors of unknown i have the expected square sigma_i^4 tr(J_i' C^-1 J_i); the trace comes from random probes.
    """
    used = system.spread == 1
    d = errors.shape[1]
    n = lin.jacobian.shape[0]
    result = noise.copy()
    # Every record has the same probes, so that the order of the records does not matter.
    lengths = np.diff(system.defects.bounds)
    longest = np.random.default_rng(0).choice([-1.0, 1.0], size=(int(lengths.max()), PROBES))
    signs = np.concatenate([longest[:length] for length in lengths])
    for i in range(d):
        columns = np.empty((n * d, PROBES))
        for k in range(PROBES):
            probe = np.zeros_like(errors)
            probe[:, i] = signs[:, k] * used[:, i]
            columns[:, k] = system.defects.apply(lin.jacobian, probe).ravel()
        trace = float(np.sum(cov.whiten(columns) ** 2)) / PROBES
        # What the coefficients take up is not seen in the errors any more.
        freedom = max(noise[i] ** 2 * trace - terms / d, 0.05 * used[:, i].sum(), 1.0)
        square = float(np.sum(errors[used[:, i], i] ** 2)) / freedom
        result[i] = np.clip(np.sqrt(square), noise[i] / 1.5, noise[i] * 1.5)
    result = np.maximum(result, system.floor)
    return result if system.fixed_noise is None else np.where(system.fixed_noise, noise, result)


def criterion(system: System, estimate: Estimate) -> float:
    """Return the criterion by which models are compared: likelihood, the volume of the defects, description length."""
    lin = linearise(system, estimate.x, estimate.coefficients, estimate.noise)
    plain = system.defects.gram(lin.jacobian, None)
    try:
        volume = Covariance(plain, np.zeros(lin.target.shape)).logdet
    except LinAlgError:
        # Where the sampling is far too coarse for a law, its defects are dependent to rounding. It must still have a
        # value, for a finer grid of states is laid for the best law there is.
        try:
            volume = Covariance(plain, np.full(lin.target.shape, ROUNDING * plain[0].max())).logdet
        except LinAlgError:
            return np.inf
    n = system.effective
    penalties = float(system.penalty.ravel()[estimate.support].sum())
    return float(likelihood(estimate.rss, n)) + estimate.logdet - volume + penalties
