"""Optimizers of pysindy by name, and members of an ensemble fitted by them one after the other."""

from __future__ import annotations

import copy
import inspect
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ArgumentError, SolveError, closest

__all__ = ["OPTIMIZERS", "fitted_members", "pysindy_optimizer"]

# What an optimizer needs besides pysindy, where pysindy itself leaves it out in silence.
OPTIMIZERS = {
    "STLSQ": "",
    "SR3": "",
    "SSR": "",
    "FROLS": "",
    "MIOSR": "gurobipy",
    "SBR": "jax and numpyro",
    "ConstrainedSR3": "cvxpy",
    "StableLinearSR3": "cvxpy",
    "TrappingSR3": "cvxpy",
    "SINDyPI": "cvxpy",
}


def pysindy_optimizer(given: Any, **settings: Any) -> Any:
    """Return an optimizer of pysindy by its name, or the given object if it can be used as one.

    Parameters
    ----------
    given : "STLSQ", "SR3", "SSR", "FROLS", "MIOSR", ..., or an object with `fit(features, targets)` and `coef_`.
    settings : arguments for the class that is named.

    Raises
    ------
    ArgumentError
        not known, not installed, no such setting.
    """
    if not isinstance(given, str):
        if not callable(getattr(given, "fit", None)) or isinstance(given, type):
            raise ArgumentError(f"optimizer must be a name or an object with fit(features, targets), got {given!r}")
        if settings:
            raise ArgumentError(f"{', '.join(settings)} cannot be set for an optimizer that is given as an object")
        return given
    if given not in OPTIMIZERS:
        raise ArgumentError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {given!r}{closest(given, OPTIMIZERS)}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysindy

    found = getattr(pysindy, given, None) or getattr(pysindy.optimizers, given, None)
    if found is None:
        raise ArgumentError(f"the optimizer {given} needs {OPTIMIZERS[given] or 'a newer pysindy'}, not installed here")
    accepted = inspect.signature(found).parameters
    for name in settings:
        if name not in accepted:
            raise ArgumentError(
                f"{given} has no setting {name!r}{closest(name, accepted)}; it has {', '.join(accepted)}"
            )
    try:
        return found(**settings)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{given}: {error}") from None


def fitted_members(optimizer: Any, features: Tensor, targets: Tensor, counts: Tensor, library: Tensor) -> Tensor:
    """Fit a copy of the optimizer for each member on its rows and terms; coefficients [B, m, p].

    Parameters
    ----------
    features : [N, p]; targets : [N, m]; counts : [B, N], how often each row is taken, integers.
    library : bool [B, m, p], the terms that each equation of a member may use.

    Raises
    ------
    SolveError
        the optimizer failed on a member.
    """
    theta, rates = features.cpu().numpy(), targets.cpu().numpy()
    single = len(counts) == 1
    found = np.zeros(tuple(library.shape))
    for member, (count, allowed) in enumerate(zip(counts.cpu().numpy(), library.cpu().numpy(), strict=True)):
        rows = np.repeat(np.arange(len(count)), np.rint(count).astype(np.int64))
        place = "" if single else f" on member {member} of the ensemble"
        if (allowed == allowed[0]).all():
            groups = [(np.arange(len(allowed)), allowed[0])]
        else:
            groups = [(np.array([equation]), terms) for equation, terms in enumerate(allowed)]
        for equations, terms in groups:
            if terms.any():
                fitted = _coefficients(optimizer, theta[rows][:, terms], rates[rows][:, equations], place)
                found[member][np.ix_(equations, np.flatnonzero(terms))] = fitted
    return torch.as_tensor(found, dtype=features.dtype, device=features.device)


def _coefficients(optimizer: Any, theta: np.ndarray, rates: np.ndarray, place: str) -> np.ndarray:
    fresh = copy.deepcopy(optimizer)
    try:
        # Warnings of a single member (no convergence, all terms gone) show in the inclusion probabilities.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fresh.fit(theta, rates)
    except Exception as error:
        name = type(optimizer).__name__
        raise SolveError(f"{name} failed{place}: {error}") from error
    coefficients = np.atleast_2d(np.asarray(fresh.coef_, dtype=np.float64))
    return np.where(np.isfinite(coefficients), coefficients, 0.0)
