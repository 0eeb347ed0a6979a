"""From sampled fields to the partial differential equations behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sciml.sindy.discovery import Discovery
from sciml.sindy.field_aliasing import Aliasing
from sciml.sindy.field_answer import FieldFit, field_answer, untrusted
from sciml.sindy.field_covariance import Moments
from sciml.sindy.field_features import transform
from sciml.sindy.field_library import FieldTerm
from sciml.sindy.field_request import FieldRequest, field_request
from sciml.sindy.field_search import MOST_TERMS, Search, search
from sciml.sindy.field_spectrum import Modes, denoised, noise_level, signal_modes, whole_window
from sciml.sindy.field_system import WeakSystem

__all__ = ["discover_field"]

# Noise that is assumed where none is seen, of the root mean square.
FLOOR = 1e-3
# Modes whose periodogram is this many times the noise carry signal; where they do not fit, those further out are tried.
CUTS = (9.0, 36.0, 144.0, 576.0)
STEP = 4.0
FEWEST_MODES = 12
# More modes than these are thinned out, at random.
MOST_MODES = 3000
# Errors of sampling are scaled down while the misfit is below the first number, to about the second one.
TOO_SMALL = 0.4
EXPECTED = 0.7
SMALLEST_FACTOR = 1e-3
RESCALINGS = 3
MOST_FURTHER_TERMS = 1
# A field whose variation is less than this part of its size stands still.
STILL = 1e-9


def discover_field(
    coordinates: Mapping[str, Any],
    fields: Mapping[str, Any],
    *,
    library: Sequence[str] | str | None = None,
    degree: int | None = None,
    order: int | None = None,
    known: str | Sequence[str] | None = None,
    forbidden: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Discovery:
    r"""Find the partial differential equations behind fields on an even grid, in one or two space dimensions and time.

    .. math:: \partial_t u_f = \sum_j \xi_{fj}\, \partial^{\alpha_j} (u^{p_j} v^{q_j} \dots)

    The weak form moves all derivatives onto test functions, windows times plane waves; which of them carry signal the
    spectrum of the data says. Powers are made unbiased by Hermite polynomials, the errors of all columns have a
    covariance in closed form, and coefficients and terms are chosen by errors-in-variables likelihood with a
    description length for each term. There is nothing to tune, and no noise level to give.

    Parameters
    ----------
    coordinates : mapping of name to array
        evenly spaced grids: {"x": x, "t": t} or {"x": x, "y": y, "t": t}; time is the one called t, else the last.
    fields : mapping of name to array
        one axis for each coordinate in that order, in any units; a complex field h becomes the real ones hr and hi.
    library : term texts, such as ["u", "u*u_x", "u_xx", "d(u**2, x, 2)"]; by default all derivatives of monomials
    degree : of the monomials; by default 6, or less where there would be very many terms
    order : of the derivatives; by default 6 in one space dimension and 4 in two, or what the grid carries
    known : equations that are known, "u_t = 0.1*u_xx"; ending in "+ ..." where further terms are sought
    forbidden : term texts that no equation may have, or a mapping from fields to such texts
    seed : for thinning out modes where there are thousands
    progress : called with a line of text now and then

    Returns
    -------
    Discovery
        of kind "field". Terms are derivatives of products, so that products of derivatives which are no such thing
        (u*u_xx without u_x**2) are not found; what they would explain makes the answer untrusted.

    Raises
    ------
    ArgumentError
        grids that are not even, arrays that do not fit them or are not finite, texts that are no terms.

    Notes
    -----
    Weak form: Messenger and Bortz (2021), doi:10.1016/j.jcp.2021.110525. Covariance of its errors: Bortz, Messenger and
    Dukic (2023), doi:10.1007/s11538-023-01208-6. Errors in variables: Fuller (1987), doi:10.1002/9780470316665.

    Examples
    --------
    >>> import numpy as np
    >>> from sciml import sindy
    >>> x, t = np.linspace(0, 10, 120), np.linspace(0, 2, 80)
    >>> X, T = np.meshgrid(x, t, indexing="ij")
    >>> U = sum(np.exp(-0.5 * k**2 * T) * np.cos(k * X + k) for k in (0.6, 1.2, 1.9))
    >>> law = sindy.discover_field({"x": x, "t": t}, {"u": U + 0.01 * np.random.default_rng(0).normal(size=U.shape)})
    >>> list(law.coefficients["u"])
    ['u_xx']
    """
    begin = time.perf_counter()
    report = progress or (lambda text: None)
    request = field_request(coordinates, fields, library, degree, order, known, forbidden, seed)
    names = request.words.unknowns
    axes = tuple(range(1, request.values.ndim))
    scales = np.sqrt(np.mean(request.values**2, axis=axes))
    variation = np.std(request.values, axis=axes)
    still = [name for name, v, s in zip(names, variation, scales, strict=True) if v <= STILL * s]
    if still:
        reason = f"{', '.join(still)}: nothing moves, so that any law with this fixed point explains the data"
        return untrusted(request, reason, request.values, np.zeros(len(names)), time.perf_counter() - begin)
    values = request.values / scales.reshape([-1] + [1] * len(axes))
    levels = np.array([noise_level(field) for field in values])
    sigma = np.maximum(levels, FLOOR)
    clean = np.stack([denoised(y, s) for y, s in zip(values, sigma, strict=True)])
    carried = (request.order,) * (len(axes) - 1) + (1,)
    modes = signal_modes(values, sigma, CUTS[0], carried)
    report(
        f"noise {', '.join(f'{s:.3g}' for s in levels)} of the root mean square; {len(modes.index)} modes with signal"
    )
    if len(modes.index) < FEWEST_MODES:
        reason = f"hardly any variation beyond the noise: {len(modes.index)} modes with signal"
        return untrusted(
            request, reason, clean * (request.values / values), levels * scales, time.perf_counter() - begin
        )
    data = request, values, clean, sigma, scales, modes
    fits = [_fit(*data, f, report) for f in range(len(names))]
    for f in range(len(names)):
        others = [support for support in _exchanged(request, fits, f) if fits[f].search.near(support)]
        if others:
            fits[f] = _fit(*data, f, report, others)
    return field_answer(request, tuple(fits), clean, levels, scales, time.perf_counter() - begin)


def _fit(
    request: FieldRequest,
    values: np.ndarray,
    clean: np.ndarray,
    sigma: np.ndarray,
    scales: np.ndarray,
    modes: Modes,
    field: int,
    report: Callable[[str], None],
    proposals: Sequence[tuple[int, ...]] = (),
) -> FieldFit:
    """Return the equation of one field, from the lowest cut at which noise explains the residual."""
    carried = (request.order,) * (values.ndim - 2) + (1,)
    taper = whole_window(values.shape[1:], carried)
    units = coefficient_units(request, scales, field)
    singles = tuple(tuple(int(k == f) for k in range(len(values))) for f in range(len(values)))
    monomials = tuple(dict.fromkeys([*request.library.monomials, *singles]))
    penalties = request.library.penalties(values[0].size)

    def searched(part: Modes, aliasing: Aliasing | None) -> Search:
        features = transform(values, clean, sigma, monomials, request.order, part, aliasing)
        system = WeakSystem(features, part, request.library, field)
        moments = Moments(values, sigma, part.index, carried, aliasing)
        found = search(
            system,
            moments,
            penalties,
            request.allowed[field],
            request.fixed[field] / units,
            request.seed,
            proposals,
        )
        name = request.words.unknowns[field]
        report(f"{name}: {len(part.index)} modes, {len(found.best.support)} terms, misfit {found.best.misfit:.3g}")
        return found

    best: FieldFit | None = None
    for cut in CUTS:
        part = modes.subset(modes.ratio > cut)
        if len(part.index) < FEWEST_MODES or (best is not None and len(part.index) == best.modes):
            break
        if len(part.index) > MOST_MODES:
            chosen = np.random.default_rng(request.seed).choice(len(part.index), MOST_MODES, replace=False)
            part = part.subset(np.sort(chosen))
        aliasing = Aliasing(clean, sigma, taper, part)
        found = searched(part, aliasing if aliasing.active else None)
        resolved = True
        if aliasing.active:
            found, resolved = _sampled(found, aliasing, lambda errors, part=part: searched(part, errors))
            clearer = part.subset(part.ratio > STEP * cut)
            if found.fits and len(clearer.index) >= 2 * FEWEST_MODES:
                # Errors of sampling are worst in the weakest modes: a law must be the same without them.
                errors = Aliasing(clean, sigma, taper, clearer)
                other = searched(clearer, errors if errors.active else None)
                if other.best.support != found.best.support:
                    resolved = False
                    if other.fits and len(other.best.support) < len(found.best.support):
                        found = other
        if best is None or found.fits:
            best = FieldFit(found, cut, len(part.index), units, resolved)
        if found.fits:
            break
    assert best is not None
    return best


def _exchanged(request: FieldRequest, fits: Sequence[FieldFit], field: int) -> list[tuple[int, ...]]:
    """Return the supports of the other equations with that field and this one exchanged, if they are not this one's.

    Equations of a system are often alike (real and imaginary parts, reacting species): where the search for one went
    astray, another's terms are a start. Which is the better one the criterion says.
    """
    columns = {term: j for j, term in enumerate(request.library.terms)}
    found: list[tuple[int, ...]] = []
    for other, fit in enumerate(fits):
        powers = list(range(len(fits)))
        powers[field], powers[other] = other, field
        terms = [request.library.terms[j] for j in fit.search.best.support]
        images = [columns.get(FieldTerm(tuple(t.powers[k] for k in powers), t.derivatives)) for t in terms]
        support = tuple(sorted(j for j in images if j is not None and request.allowed[field][j]))
        if len(support) == len(terms) and support not in (fits[field].search.best.support, *found):
            found.append(support)
    return found


def _sampled(first: Search, aliasing: Aliasing, searched: Callable[[Aliasing], Search]) -> tuple[Search, bool]:
    """Return the answer with errors of sampling as small as the residual allows, and whether it is the same for all.

    How large the unseen errors are, the residual knows better than their extrapolation, which is meant to be too large.
    Terms that only come in as the errors are made smaller may be what the errors are made of.
    """
    current, resolved = first, True
    for _ in range(RESCALINGS):
        # More terms than a law has do not get fewer as the errors are made smaller.
        if current.best.misfit > TOO_SMALL or len(current.best.support) > MOST_TERMS:
            break
        aliasing = aliasing.scaled(max(current.best.misfit / EXPECTED, SMALLEST_FACTOR))
        finer = searched(aliasing)
        same = finer.best.support == current.best.support
        if not same and len(finer.best.support) > len(current.best.support) + MOST_FURTHER_TERMS:
            return current, False
        resolved = same
        settled = same and abs(finer.best.misfit - current.best.misfit) < 0.1 * current.best.misfit
        current = finer
        if settled:
            break
    return current, resolved


def coefficient_units(request: FieldRequest, scales: np.ndarray, field: int) -> np.ndarray:
    """Return [J]: a coefficient in the data's units is this times the one for unit fields on unit grids."""
    steps = request.steps
    return np.array(
        [
            scales[field]
            / steps[-1]
            * np.prod(steps[:-1] ** np.array(term.derivatives))
            / np.prod(scales ** np.array(term.powers))
            for term in request.library.terms
        ]
    )
