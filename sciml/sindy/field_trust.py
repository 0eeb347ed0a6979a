"""Whether a field's equation is to be trusted: whether it explains the data, and whether the data determine it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sciml.sindy.field_request import FieldRequest
from sciml.sindy.field_search import MOST_TERMS, TIE, Search, misfit_limit

__all__ = ["cancellation", "objections", "rival"]

Support = tuple[int, ...]
LEAST_WEIGHT = 0.5
# A law with another term whose column is much alike must leave so much more. Of right laws this is 16 and more (of
# Kuramoto and Sivashinsky with 200 % noise).
NEAR = 10.0
# Terms of one derivative that exceed their sum by more than this are a series for another function. Right laws have up
# to 8 (Fisher), Taylor-like polynomials in the place of a forbidden u**2 have 39 and more.
CANCELLING = 20.0


def objections(
    request: FieldRequest, field: int, found: Search, resolved: bool, share: Mapping[Support, float]
) -> list[str]:
    """Return what speaks against the equation of one field.

    Parameters
    ----------
    request, field : what was asked for, and which field it is.
    found, resolved : its search, and whether the result is the same however large the errors of sampling are.
    share : weights of all supports that were compared.
    """
    name, best = request.words.unknowns[field], found.best
    reasons = []
    if not found.fits:
        reasons.append(
            f"{name}: the library does not explain the data beyond their noise and sampling "
            f"(misfit {best.misfit:.3g}, noise explains {misfit_limit(found.n):.3g}); offer other terms or a finer grid"
        )
    elif found.doubtful:
        reasons.append(
            f"{name}: noise does not explain what the law leaves in all modes together "
            f"({found.doubt:.1f} standard deviations too much)"
        )
    if not resolved:
        reasons.append(f"{name}: the grid does not resolve the field, and errors of sampling may hide or make terms")
    if len(best.support) > MOST_TERMS:
        reasons.append(f"{name}: {len(best.support)} terms are a fit, not a law")
    if not best.support and not request.fixed[field].any():
        reasons.append(f"{name}: no term stands out of the noise")
    if found.disputed:
        reasons.append(
            f"{name}: another model explains the data as well or better, and what decides is the noise of "
            "products, which is not well known; see alternatives"
        )
    alike = rival(found)
    if alike is not None:
        own, other = (
            " and ".join(
                request.library.terms[j].text(request.words.unknowns, request.words.coordinates[:-1])[0] for j in s
            )
            for s in (sorted({*best.support} - {*alike}), sorted({*alike} - {*best.support}))
        )
        reasons.append(
            f"{name}: these data cannot tell {own} from {other}, with which the law explains them as well; "
            "forbid one, or offer data with more waves"
        )
    times = cancellation(found)
    if times > CANCELLING:
        reasons.append(
            f"{name}: large terms cancel each other (they are {times:.0f} times their sum), as those of a series for "
            "another function do"
        )
    ahead = min((candidate.criterion for candidate in found.pool[1:]), default=np.inf) - best.criterion
    if share[best.support] < LEAST_WEIGHT or ahead < TIE:
        reasons.append(
            f"{name}: others are nearly as likely (weight of these {share[best.support]:.2f}); see alternatives"
        )
    return reasons


def rival(found: Search) -> Support | None:
    """Return the support of as many terms that leaves least unexplained, if that is as little as the winner leaves.

    What decides between two such laws is the description length alone. Where columns are much alike, noise makes one
    of equal laws leave less: in a single wave, where u_xx is a multiple of u, by up to 14 (noise of 5 to 30 %).
    """
    best = found.best
    own = best.plain - found.length(best.support)
    # The linear problem's criterion has the winner's charge.
    charge = best.criterion - best.plain
    left = [(c.plain - found.length(c.support), c.support) for c in found.pool[1:] if np.isfinite(c.criterion)]
    left += [(value - charge - found.length(support), support) for value, support in found.neighbours]
    left = [(value, support) for value, support in left if len(support) == len(best.support)]
    left += [(c.plain - found.length(c.support) + TIE - NEAR, c.support) for c in found.alike]
    value, support = min(((v, s) for v, s in left if s != best.support), default=(np.inf, ()))
    return support if value < own + TIE else None


def cancellation(found: Search) -> float:
    """Return by which factor terms with the same derivative exceed their sum, root mean squares of all modes.

    Their means are left out: in a state near rest they cancel in every law. The measure of them is the constant's
    column, and without one, in a library that somebody chose, nothing is said.
    """
    terms, system = found.selection.system.library.terms, found.selection.system
    constant = [j for j, term in enumerate(terms) if not term.degree and not term.order]
    used = np.flatnonzero(found.best.w)
    if not constant or not len(used):
        return 1.0
    weight = np.sqrt(found.selection.weight)
    one = system.A[:, constant[0]] * weight
    parts = system.A[:, used] * found.best.w[used] * weight[:, None]
    parts = parts - np.outer(one, np.real(np.conj(one) @ parts) / np.sum(np.abs(one) ** 2))
    worst = 1.0
    for derivatives in {terms[j].derivatives for j in used}:
        group = parts[:, [terms[j].derivatives == derivatives for j in used]]
        total = float(np.linalg.norm(group.sum(axis=1)))
        worst = max(worst, float(np.linalg.norm(group, axis=0).sum()) / max(total, 1e-300))
    return worst
