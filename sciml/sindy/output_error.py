"""A second assumption for data that no law explains: the law is exact, and what it leaves is an error of observation.

The first assumption is that of the engine: independent noise of the size that the samples show, and beyond it an error
of the law over every sampling interval. Where a law is only near (modes of a flow that the others act upon, say) the
error is no noise: its neighbours are alike, and a law that fits all intervals can have a solution that leaves the data.
Here the law is chosen by its own solution over the whole record, term by term (Piroddi and Spinelli 2003,
doi:10.1080/00207170310001635419), and neighbours that are alike count as one sample (Bartlett 1946,
doi:10.2307/2983611).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.sindy.answers import answer
from sciml.sindy.competition import system_of
from sciml.sindy.pooling import Model, Pool, coefficients_of
from sciml.sindy.refinement import HOLDS, LAST_ERROR, Estimate, System
from sciml.sindy.reproduction import FAR
from sciml.sindy.selection import Factor, search
from sciml.sindy.shooting import Shot, jacobian, pieces_of, predict, shoot, simulate, variation
from sciml.sindy.trust import COHERENT, LEAST_SAMPLES, NOTICED

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery
    from sciml.sindy.libraries import Library
    from sciml.sindy.request import Request
    from sciml.sindy.samples import Samples

__all__ = ["explained", "follow", "observed", "thinned", "wrong"]

# Increments between nodes relative to the variation, on a grid for solutions; so many nodes at most.
INCREMENT, MOST_NODES = 0.3, 3000
# Degrees of the polynomials that are tried, and how many coefficients these may have.
DEGREES, MOST_COLUMNS = (2, 3), 70
# Nodes of the pieces from whose beginnings the data are predicted: where the choice of terms begins, and how often the
# pieces become twice as long.
LENGTHS, DOUBLINGS = (12, 30), 2
SEARCHES = 4
# What the solution must explain of each unknown's variation.
ENOUGH = 0.9


def thinned(samples: Samples) -> Samples:
    """Return every m-th node of each record, so that the states move by no more than `INCREMENT` between them."""
    size = np.maximum(samples.smooth.std(axis=0), 1e-9)
    inside = np.setdiff1d(np.arange(len(samples.clock) - 1), samples.bounds[1:-1] - 1)
    moved = np.sqrt(np.mean((np.diff(samples.smooth, axis=0)[inside] / size) ** 2, axis=0)).max()
    every = max(int(INCREMENT / max(moved, 1e-9)), 1)
    every = min(every, max(int(np.diff(samples.bounds).min()) // 100, 1))
    own = [np.arange(a, b, every) for a, b in zip(samples.bounds[:-1], samples.bounds[1:], strict=True)]
    nodes = np.concatenate(own)
    return replace(
        samples,
        z=samples.z[nodes],
        spread=samples.spread[nodes],
        smooth=samples.smooth[nodes],
        inputs=samples.inputs[nodes],
        clock=samples.clock[nodes],
        bounds=np.concatenate([[0], np.cumsum([len(part) for part in own])]),
        rows=np.arange(len(nodes)),
    )


def observed(
    request: Request, samples: Samples, pool: Pool, library: Library, law: Discovery, report: Callable[[str], None]
) -> Discovery:
    """Return the law, or where it does not explain the data, one whose own solution follows them, if there is one.

    A law that holds, with independent residuals, is returned as it is; so is one whose own solution stays with the
    data. What is found under the second assumption is never trusted: that there is an error of the law is known,
    and which terms it hides is not. `diagnostics["assumption"]` says which one was made.
    """
    first = replace(law, diagnostics={**law.diagnostics, "assumption": "independent noise"})
    no_flow = request.discrete or bool(request.trajectories.control_names)
    if law.trusted or no_flow or not pool.ranked or not wrong(pool, law):
        return first
    if law.diagnostics["samples"] < LEAST_SAMPLES or np.all(explained(pool, samples) < 1):
        # What a solution tells more of than the data's mean does, is not given up.
        return first
    found = follow(request, samples, library, report)
    if found is None:
        return first
    other, after = found
    report("the law's own solution follows the data once its error is taken for one of observation")
    second = answer(request, samples, other, library, law.wall_time)
    misfit = float(law.diagnostics["misfit"])
    reason = (
        "no law of the library explains the data to within independent noise; this one takes what it leaves for errors "
        f"of observation, and its own solution explains at least {100 * (1 - float(after.max())):.1f} % of each "
        "unknown's variation; which terms it has, and what it does elsewhere, these data do not decide"
    )
    return replace(
        second,
        diagnostics={
            **second.diagnostics,
            "trusted": False,
            "reason": reason,
            "misfit": misfit,
            "assumption": "errors of observation",
            "unexplained": dict(zip(law.names, map(float, after), strict=True)),
        },
    )


def wrong(pool: Pool, law: Discovery) -> bool:
    """Whether a law does not explain the data: a misfit, or residuals that are alike, or a solution that leaves.

    Where the unknowns hardly vary, that alone may be why.
    """
    if law.diagnostics["steady"]:
        return False
    limit = max(COHERENT, NOTICED * np.sqrt(float(law.diagnostics["samples"])))
    coherent = max(law.diagnostics["coherence"].values(), default=0.0) > limit
    farthest = law.diagnostics["farthest"]
    leaves = farthest is not None and farthest > FAR
    return pool.ranked[0].estimate.error > HOLDS * 1.001 or coherent or leaves


def follow(
    request: Request, samples: Samples, library: Library, report: Callable[[str], None]
) -> tuple[Pool, np.ndarray] | None:
    """Return a pool with the law whose own solution follows the data, and what it leaves unexplained [d].

    None where there is no such law, or too much to compute. The terms are those of the lowest degree that will do.
    """
    if request.discrete or request.trajectories.control_names or samples.fixed_noise.any():
        return None
    few = thinned(samples)
    if len(few.clock) > MOST_NODES:
        return None
    whole = replace(system_of(request, few, library), smoothed_noise=None)
    for degree in DEGREES:
        allowed = whole.allowed & (whole.basis.degrees <= degree)[:, None]
        if not 0 < allowed.sum() <= MOST_COLUMNS:
            continue
        system = replace(whole, allowed=allowed)
        shots: dict[tuple[int, ...], Shot] = {}
        for length in LENGTHS:
            # Those that predict longest come first, the others where these have no solution over the whole record.
            for start, support, begin in reversed(_chosen(system, few, length)):
                if tuple(int(k) for k in support) in shots:
                    break
                shot = shoot(system, few.clock, start, support, few.smooth, begin)
                report(f"{len(support)} terms of degree {degree}: " + ("no solution" if shot is None else "a solution"))
                if shot is not None and np.all(shot.unexplained < 1 - ENOUGH):
                    shots[tuple(int(k) for k in support)] = shot
                    break
        if shots:
            memory = np.min([_memory(system, shot) for shot in shots.values()], axis=0)
            ranked = sorted(shots.values(), key=lambda each: _value(system, each, memory))
            return _pool(request, samples, library, system, few, ranked, memory, report), ranked[0].unexplained
    return None


def explained(pool: Pool, samples: Samples) -> np.ndarray:
    """Return what the own solution of a pool's best law leaves unexplained of the samples [d]."""
    few = thinned(samples)
    system, winner = pool.system, pool.ranked[0].estimate
    # Times of several records may overlap.
    few = few if len(few.bounds) == 2 else samples
    nodes = np.searchsorted(samples.clock, few.clock) if len(few.bounds) == 2 else np.arange(len(samples.clock))
    pieces = np.stack([few.bounds[:-1], few.bounds[1:]], axis=1)
    x = simulate(system, few.clock, pieces, winner.coefficients[None], winner.x[nodes][None, pieces[:, 0]])[0]
    used = few.spread == 1
    square = np.sum(np.where(used, few.z - x, 0.0) ** 2, axis=0) / np.maximum(used.sum(axis=0), 1)
    spread = np.nanstd(np.where(used, few.z, np.nan), axis=0)
    return square / np.maximum(spread, 1e-9) ** 2


def _chosen(system: System, few: Samples, length: int) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Return coefficients and support by which the data are predicted best from the beginnings of pieces.

    Of this length, and of twice and four times the length as far as they can be predicted; with the length.

    A law with a direction in which its solutions leave the data predicts badly, though it may fit every interval.
    """
    offered = np.flatnonzero(system.allowed.ravel())
    support = offered
    used = system.spread == 1
    coefficients = coefficients_of(system, few.smooth, support)
    result: list[tuple[np.ndarray, np.ndarray, int]] = []
    for doubling in range(DOUBLINGS + 1):
        pieces, spread = pieces_of(system.defects.bounds, length * 2**doubling), variation(system)
        for _ in range(SEARCHES):
            shot = predict(system, few.clock, coefficients, support, few.smooth, pieces, spread)
            if not np.all(shot.unexplained < 1.0):
                return result
            spread = shot.noise
            x, slopes = jacobian(system, few.clock, shot, offered)
            weights = np.where(used, 1 / (shot.noise * np.sqrt(_memory(system, shot))), 0.0)
            matrix = (slopes[:, :, : len(offered)] * weights[:, :, None]).reshape(used.size, -1)
            right = ((system.y - x) * weights).ravel() + matrix @ shot.coefficients.ravel()[offered]
            if not np.isfinite(matrix).all():
                return result
            factor = Factor.of(matrix, right, max(int(np.sum(weights**2 * shot.noise**2)), 2))
            place = np.searchsorted(offered, support)
            every = np.ones(len(offered), dtype=bool)
            found = search(factor, system.penalty.ravel()[offered], place, every)
            if len(found) == len(place) and (found == place).all():
                coefficients = shot.coefficients
                break
            coefficients, support = np.zeros_like(coefficients), offered[found]
            coefficients.ravel()[support] = factor.solve(found)[0]
        if not len(support):
            return result
        result.append((coefficients, support, length * 2**doubling))
    return result


def _value(system: System, shot: Shot, memory: np.ndarray) -> float:
    """Return the criterion of a solution: likelihood of as many samples as are independent, and description length."""
    counts = (system.spread == 1).sum(axis=0) / memory
    return float(np.sum(counts * np.log(shot.noise**2)) + system.penalty.ravel()[shot.support].sum())


def _memory(system: System, shot: Shot) -> np.ndarray:
    """Return how many neighbouring residuals count as one [d]: one and twice the sum of their correlations."""
    residuals = np.where(system.spread == 1, system.y - shot.x, 0.0)
    square = np.sum(residuals**2, axis=0)
    found = np.ones(residuals.shape[1])
    for i in range(residuals.shape[1]):
        for lag in range(1, len(residuals) // 4):
            own = float(residuals[lag:, i] @ residuals[:-lag, i]) / max(square[i], 1e-300)
            # Up to where they are hardly different from zero.
            if own < 2 / np.sqrt(len(residuals)):
                break
            found[i] += 2 * own
    return found


def _linear(system: System, few: Samples, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Return the whitened derivatives by the coefficients [N d, s], without what first states can do, and residuals."""
    used, s = system.spread == 1, len(shot.support)
    x, slopes = jacobian(system, few.clock, shot, shot.support)
    matrix = np.where(used[:, :, None], slopes / shot.noise[:, None], 0.0).reshape(used.size, -1)
    residual = np.where(used, (system.y - x) / shot.noise, 0.0).ravel()
    first = np.linalg.qr(matrix[:, s:])[0]
    clear = matrix[:, :s] - first @ (first.T @ matrix[:, :s])
    return clear, residual - first @ (first.T @ residual)


def _pool(
    request: Request,
    samples: Samples,
    library: Library,
    few_system: System,
    few: Samples,
    shots: list[Shot],
    memory: np.ndarray,
    report: Callable[[str], None],
) -> Pool:
    """Return the solutions as models on all nodes."""
    system = replace(system_of(request, samples, library), smoothed_noise=None)
    pool = Pool(system, samples.smooth, shots[0].noise, report)
    pieces = np.stack([samples.bounds[:-1], samples.bounds[1:]], axis=1)
    for shot in shots:
        matrix, _ = _linear(few_system, few, shot)
        # As many samples as are independent tell about the coefficients.
        gram = matrix.T @ matrix / memory.mean()
        scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
        inverse = np.linalg.pinv(gram * scale[:, None] * scale, hermitian=True) * scale[:, None] * scale
        x = simulate(system, samples.clock, pieces, shot.coefficients[None], shot.first[None])[0]
        estimate = Estimate(
            x,
            shot.coefficients,
            shot.support,
            LAST_ERROR,
            shot.noise,
            rss=float(system.effective),
            converged=True,
            covariance=inverse,
        )
        pool.models[tuple(int(k) for k in shot.support)] = Model(estimate, _value(few_system, shot, memory))
    return pool
