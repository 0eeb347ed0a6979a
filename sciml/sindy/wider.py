"""Whether terms that were not offered would explain the data better: asked of laws that nothing else speaks against.

A library without a true term often holds laws that explain noisy data: what is missing is spread over other terms, and
the noise comes out a little larger. Only terms from outside of the library can show it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np
from scipy.linalg import LinAlgError

from sciml.sindy.competition import system_of
from sciml.sindy.libraries import Library, PolynomialLibrary
from sciml.sindy.pooling import Pool, neighbourhood
from sciml.sindy.refinement import NOISE_FLOOR, System
from sciml.sindy.selection import likelihood

if TYPE_CHECKING:
    from sciml.sindy.request import Request
    from sciml.sindy.samples import Samples

__all__ = ["Outside", "outside"]

# The best terms from outside, which are fitted. More columns than these take longer than the discovery did.
CANDIDATES, MOST_COLUMNS = 2, 700
# The monomials that are asked in any case: cubes are what most nonlinear forces begin with.
LEAST_DEGREE = 3


@final
@dataclass(frozen=True)
class Outside:
    """A term that was not offered.

    Attributes
    ----------
    term : its text
    unknown : in whose equation
    ahead : by how much the law with it is better in the criterion; negative where it is worse.
    """

    term: str
    unknown: str
    ahead: float


def outside(request: Request, samples: Samples, pool: Pool, library: Library) -> Outside | None:
    """Return the best monomial that the library does not have, up to one degree above the law's own.

    None where the library has them all, where the data are too few to ask, or where they are without noise: there a
    law with terms in the place of others does not hold.
    """
    if pool.inner or not pool.ranked or pool.system.floor < min(NOISE_FLOOR, request.floor):
        return None
    winner, basis, d = pool.ranked[0], pool.system.basis, len(request.trajectories.names)
    own = winner.estimate.support // d
    # What a user offered each equation is asked, too; what is known or forbidden is not.
    free = replace(request, own={})
    wide = library + PolynomialLibrary(max(LEAST_DEGREE, int(basis.degrees[own].max(initial=1)) + 1))
    texts = [term.text for term in wide.terms(basis.names)]
    if len(texts) * d > min(MOST_COLUMNS, pool.system.effective / 2) or not set(texts) - set(basis.texts):
        return None
    system = system_of(free, samples, wide)
    place = np.array([texts.index(text) for text in basis.texts])
    new = np.ones(len(texts), dtype=bool)
    new[place] = False
    coefficients = np.zeros(system.shape)
    coefficients[place] = winner.estimate.coefficients * (system.basis.factors[place] / basis.factors)[:, None]
    support = np.sort(place[own] * d + winner.estimate.support % d)
    system = replace(system, allowed=system.allowed & new[:, None], floor=pool.system.floor)
    system.allowed.ravel()[support] = True
    begin = replace(winner.estimate, coefficients=coefficients, support=support, visited=())
    try:
        factor, offered, where = neighbourhood(system, begin)
    except (LinAlgError, FloatingPointError):
        return None
    penalty = system.penalty.ravel()[offered]
    rss, added, _, _ = factor.moves(where)
    gaps = likelihood(added, factor.n) + penalty - likelihood(rss, factor.n)
    order = [int(j) for j in np.argsort(gaps)[:CANDIDATES] if gaps[j] < 0]
    if not order:
        best = int(np.argmin(gaps))
        return _named(system, -float(gaps[best]), int(offered[best]), request)
    larger = Pool(system, pool.x, pool.noise, pool.report)
    found: list[tuple[float, int]] = []
    for j in order:
        model = larger.settle(replace(begin, support=np.sort(np.append(support, offered[j]))))
        if model is not None:
            found.append((winner.criterion - model.criterion, int(offered[j])))
    return _named(system, *max(found), request) if found else None


def _named(system: System, ahead: float, flat: int, request: Request) -> Outside:
    d = system.shape[1]
    return Outside(system.basis.texts[flat // d], request.trajectories.names[flat % d], ahead)
