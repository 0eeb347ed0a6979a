r"""Ensemble-SINDy: many sparse regressions on resampled data or libraries, and how often each term is chosen.

Fasel, Kutz, Brunton and Brunton 2022, doi:10.1098/rspa.2021.0904. The members are pysindy's `STLSQ` on the same
bootstraps, solved together from Gram matrices (`sciml.sindy.moments`), or any other optimizer, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ArgumentError, closest
from sciml.sindy.baselines import fitted_members, pysindy_optimizer
from sciml.sindy.moments import BATCH, Moments, least_squares, moments
from sciml.sindy.thresholding import stlsq

__all__ = ["Ensemble", "bootstrap_counts", "choose_threshold", "ensemble", "threshold_path"]

Kind = Literal["bagging", "bragging", "library", "double"]

# The settings of the paper: part of the library that a member of library bagging sees; the inclusion that a term needs
# there to enter the bagging of "double"; the inclusion that it needs in the law.
SHOWN, SCREENED, INCLUDED = 0.9, 0.4, 0.6
THRESHOLD = 0.1


@final
@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members of an ensemble, for p terms and m equations. Tensors are float64 on the device of the computation.

    Attributes
    ----------
    members : [B, m, p], the coefficients of each member, zero where it left a term out.
    available : bool [B, m, p], whether a member's library had the term.
    support : bool [m, p], the terms whose inclusion probability reaches the required one.
    coefficients : [m, p], the median (bagging: the mean) over the members, zero outside the support.
    refitted : [m, p], least squares on the support with all data; of these predictions are best.
    residual : [m], the sum of squares that the refit leaves.
    samples : N, the rows that all members were drawn from.
    counts : [B, N], how often each row was drawn; None where every member has each row once.
    threshold : the threshold of the members' regressions; None for an optimizer that has no such setting.
    """

    members: Tensor
    available: Tensor
    support: Tensor
    coefficients: Tensor
    refitted: Tensor
    residual: Tensor
    samples: int
    counts: Tensor | None
    threshold: float | None

    @property
    def inclusion(self) -> Tensor:
        """Among the members whose library had a term, the share that chose it, [m, p]; 0 for terms that none had."""
        return _inclusion(self.members, self.available)

    @property
    def standard_errors(self) -> Tensor:
        """Standard deviation over the members that chose a term, [m, p]; 0 where fewer than two did."""
        chosen = self.members != 0
        count = chosen.sum(0)
        mean = self.members.sum(0) / count.clamp(min=1)
        squares = torch.where(chosen, (self.members - mean) ** 2, 0.0).sum(0)
        return torch.where(count > 1, squares / (count - 1).clamp(min=1), 0.0).sqrt()

    def intervals(self, level: float = 0.95) -> Tensor:
        """Return the lower and upper quantiles over the members that chose a term, [2, m, p]; NaN where none did."""
        if not 0 < level < 1:
            raise ArgumentError(f"level must lie between 0 and 1, got {level!r}")
        chosen = torch.where(self.members != 0, self.members, torch.nan)
        at = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=chosen.dtype, device=chosen.device)
        return torch.stack([torch.nanquantile(each, at, dim=0) for each in chosen.unbind(1)], dim=1)

    def criterion(self, rows: Tensor | float | None = None) -> Tensor:
        """Extended Bayesian information criterion of each refitted equation, [m]; lower is better.

        N log(RSS / N) + k log N + 2 log(p choose k), for k terms out of p (Chen and Chen 2008,
        doi:10.1093/biomet/asn034).

        Parameters
        ----------
        rows : how many independent rows the data are worth, for each equation [m]; N by default.
        """
        tiny = torch.finfo(self.residual.dtype).tiny
        count = torch.as_tensor(self.samples if rows is None else rows).to(self.residual)
        terms = self.support.sum(1).to(count)
        whole = torch.full_like(terms, float(self.support.shape[1]))
        choices = torch.lgamma(whole + 1) - torch.lgamma(terms + 1) - torch.lgamma(whole - terms + 1)
        return count * (self.residual / self.samples).clamp(min=tiny).log() + terms * count.log() + 2 * choices


def bootstrap_counts(
    samples: int,
    members: int,
    *,
    size: int | None = None,
    replace: bool = True,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw how often each row stands in each bootstrap, float64 [members, samples].

    Parameters
    ----------
    size : rows in a bootstrap; with replacement all N by default, without it 60 % of them.
    replace : draw with replacement; without it counts are 0 or 1.
    generator : on the same device; determines the result.
    """
    size = (samples if replace else int(0.6 * samples)) if size is None else size
    if size < 1 or (not replace and size > samples):
        raise ArgumentError(f"size must be from 1 on, and at most {samples} without replacement, got {size}")
    counts = torch.zeros(members, samples, dtype=torch.float64, device=device)
    if replace:
        rows = torch.randint(samples, (members, size), generator=generator, device=device)
    else:
        rows = torch.rand(members, samples, generator=generator, device=device).topk(size, dim=1).indices
    return counts.scatter_add_(1, rows, counts.new_ones(1, 1).expand(members, size))


def ensemble(
    features: Any,
    targets: Any,
    *,
    kind: Kind = "bragging",
    members: int = 1000,
    threshold: float | None = None,
    optimizer: Any = "STLSQ",
    **options: Any,
) -> Ensemble:
    r"""Regress :math:`\dot X = \Theta\, \Xi^T` many times, sparsely, and count how often each term is chosen.

    Parameters
    ----------
    features : array or tensor [N, p], the library's terms at the samples.
    targets : array or tensor [N, m], the derivatives (or integrals, or next states).
    kind : "bagging" (bootstraps of the rows, mean of the members), "bragging" (the same, median), "library" (each
        member sees a random part of the terms), "double" (library first, then bootstraps with the terms that it kept).
    members : number of members B, in each of the two stages of "double".
    threshold : of STLSQ, in the units of the coefficients (0.1); see `threshold_path` where it is not known.
    optimizer : "STLSQ" is computed here, all members at once. Otherwise the name of an optimizer of pysindy ("SR3",
        "SSR", "FROLS", "MIOSR" where installed) or an object with `fit(features, targets)` and `coef_`, of which each
        member gets a copy.
    alpha : weight of the ridge in STLSQ (0.05).
    normalize : whether STLSQ scales columns to unit length, threshold and ridge counting in these units (False).
    relative : whether the ridge alone counts in these units (False).
    limit : largest number of rounds of STLSQ (20).
    unbias : refit each member on its support without the ridge (True).
    inclusion : inclusion probability that a term needs (0.6).
    shown : part of the library that members of library bagging see (0.9).
    screened : inclusion probability that a term needs in the library stage of "double" (0.4).
    size, replace : of the bootstraps, see `bootstrap_counts`.
    counts : [B, N], the bootstraps themselves instead of drawn ones.
    seed : of all random numbers (0). device : of the computation, "cpu" by default.

    Returns
    -------
    Ensemble

    Raises
    ------
    ArgumentError
        wrong shapes or values, numbers that are not finite, an optimizer that is not known or not installed.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> result = ensemble(x, x[:, :1] * 2 - x[:, 2:], members=50)
    >>> result.refitted.round(decimals=6).tolist()
    [[2.0, 0.0, -1.0]]
    """
    if threshold is not None and optimizer != "STLSQ":
        raise ArgumentError("threshold belongs to STLSQ; give another optimizer as an object that has its settings")
    settings = _Settings(kind, members, optimizer, **_known(options))
    return _run(settings, features, targets, [THRESHOLD if threshold is None else threshold])[0]


def threshold_path(
    features: Any,
    targets: Any,
    thresholds: Sequence[float],
    *,
    kind: Kind = "bragging",
    members: int = 1000,
    **options: Any,
) -> tuple[Ensemble, ...]:
    """Compute an ensemble for each threshold, all on the same bootstraps and Gram matrices.

    Parameters and errors are those of `ensemble`, with STLSQ as the optimizer.
    """
    if not len(thresholds):
        raise ArgumentError("thresholds must be at least one number")
    settings = _Settings(kind, members, "STLSQ", **_known(options))
    return _run(settings, features, targets, [float(value) for value in thresholds])


def choose_threshold(path: Sequence[Ensemble], rows: Tensor | float | None = None) -> tuple[int, ...]:
    """Return for each equation which ensemble of a path has the best criterion; of equal ones the sparsest.

    `rows` is how many independent rows the data are worth, where neighbouring rows have similar errors.
    """
    scores = torch.stack([each.criterion(rows) for each in path])
    best = scores.amin(0)
    sparse = torch.stack([each.support.sum(1) for each in path]).to(scores.dtype)
    return tuple(torch.where(scores <= best + 1e-9 * best.abs(), sparse, torch.inf).argmin(0).tolist())


@final
@dataclass(frozen=True)
class _Settings:
    """The arguments of `ensemble`, checked."""

    kind: Kind
    members: int
    optimizer: Any
    alpha: float = 0.05
    normalize: bool = False
    relative: bool = False
    limit: int = 20
    unbias: bool = True
    inclusion: float = INCLUDED
    shown: float = SHOWN
    screened: float = SCREENED
    size: int | None = None
    replace: bool = True
    counts: Any = None
    seed: int = 0
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        kinds = get_args(Kind)
        if self.kind not in kinds:
            raise ArgumentError(
                f"kind must be one of {', '.join(kinds)}, got {self.kind!r}{closest(str(self.kind), kinds)}"
            )
        for name in ("members", "limit"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ArgumentError(f"{name} must be an integer from 1 on, got {value!r}")
        if not 0 <= self.alpha < np.inf:
            raise ArgumentError(f"alpha must be a finite number from 0 on, got {self.alpha!r}")
        for name in ("inclusion", "screened", "shown"):
            if not 0 < getattr(self, name) <= 1:
                raise ArgumentError(f"{name} must lie above 0 and be at most 1, got {getattr(self, name)!r}")


def _known(options: dict[str, Any]) -> dict[str, Any]:
    names = set(_Settings.__dataclass_fields__) - {"kind", "members", "optimizer"}
    for name in options:
        if name not in names:
            raise ArgumentError(
                f"{name} is no option of an ensemble{closest(name, names)}; known are {', '.join(sorted(names))}"
            )
    return options


def _matrix(value: Any, name: str, device: torch.device | str) -> Tensor:
    array = torch.as_tensor(value, dtype=torch.float64, device=device).detach()
    if array.ndim == 1 and name == "targets":
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise ArgumentError(f"{name} must be a matrix with a row for each sample, got the shape {list(array.shape)}")
    if not bool(torch.isfinite(array).all()):
        raise ArgumentError(f"{name} must be finite; {int((~torch.isfinite(array)).sum())} numbers are not")
    return array


def _run(settings: _Settings, features: Any, targets: Any, thresholds: Sequence[float]) -> tuple[Ensemble, ...]:
    theta, rates = _matrix(features, "features", settings.device), _matrix(targets, "targets", settings.device)
    if len(theta) != len(rates):
        raise ArgumentError(f"features and targets must have as many rows, got {len(theta)} and {len(rates)}")
    for value in thresholds:
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
            raise ArgumentError(f"threshold must be a finite number from 0 on, got {value!r}")
    generator = torch.Generator(device=theta.device).manual_seed(settings.seed)
    counts = _counts(settings, len(theta), generator, theta.device)
    library = torch.ones(len(thresholds), settings.members, rates.shape[1], theta.shape[1], dtype=torch.bool)
    library = library.to(theta.device)
    if settings.kind in ("library", "double"):
        shown = max(1, round(settings.shown * theta.shape[1]))
        drawn = torch.rand(settings.members, theta.shape[1], generator=generator, device=theta.device)
        seen = torch.zeros_like(drawn, dtype=torch.bool).scatter(1, drawn.topk(shown, dim=1).indices, True)
        library &= seen[:, None]
    if settings.kind == "double":
        first = _members(settings, theta, rates, theta.new_ones(settings.members, len(theta)), library, thresholds)
        kept = torch.stack([_inclusion(f, a) >= settings.screened for f, a in zip(first, library, strict=True)])
        library = kept[:, None].expand_as(library)
    found = _members(settings, theta, rates, counts, library, thresholds)
    drawn_rows = None if settings.kind == "library" and settings.counts is None else counts
    named = settings.optimizer == "STLSQ"
    whole = moments(theta, rates, theta.new_ones(1, len(theta)))
    return tuple(
        _assembled(settings, whole, coefficients, available, drawn_rows, value if named else None)
        for coefficients, available, value in zip(found, library, thresholds, strict=True)
    )


def _counts(settings: _Settings, samples: int, generator: torch.Generator, device: torch.device) -> Tensor:
    if settings.counts is not None:
        given = _matrix(settings.counts, "counts", device)
        if given.shape != (settings.members, samples) or bool((given < 0).any()):
            shape = [settings.members, samples]
            raise ArgumentError(f"counts must have the shape {shape} and no negative number, got {list(given.shape)}")
        return given
    if settings.kind == "library":
        return torch.ones(settings.members, samples, dtype=torch.float64, device=device)
    return bootstrap_counts(
        samples, settings.members, size=settings.size, replace=settings.replace, generator=generator, device=device
    )


def _members(
    settings: _Settings, theta: Tensor, rates: Tensor, counts: Tensor, library: Tensor, thresholds: Sequence[float]
) -> Tensor:
    """Return the coefficients of all members, [K, B, m, p]."""
    if settings.optimizer != "STLSQ":
        optimizer = pysindy_optimizer(settings.optimizer)
        return torch.stack([fitted_members(optimizer, theta, rates, counts, each) for each in library])
    levels, members, equations, terms = library.shape
    found = torch.zeros(library.shape, dtype=theta.dtype, device=theta.device)
    # Where every member has all rows, one Gram matrix serves them all.
    same = bool((counts == counts[:1]).all())
    for part in torch.arange(members, device=theta.device).split(max(1, BATCH // max(len(theta), terms**2))):
        system = moments(theta, rates, counts[:1] if same else counts[part])
        size = len(part)
        member = torch.arange(size, device=theta.device)[None, :, None].expand(levels, size, equations)
        equation = torch.arange(equations, device=theta.device).expand(levels, size, equations)
        level = torch.tensor(thresholds, dtype=theta.dtype, device=theta.device)[:, None, None].expand(equation.shape)
        result = stlsq(
            system,
            torch.zeros_like(member).flatten() if same else member.flatten(),
            equation.flatten(),
            level.flatten(),
            library[:, part].reshape(-1, terms),
            alpha=settings.alpha,
            normalize=settings.normalize,
            relative=settings.relative,
            limit=settings.limit,
            unbias=settings.unbias,
        )
        found[:, part] = result.coefficients.reshape(levels, size, equations, terms)
    return found


def _inclusion(members: Tensor, available: Tensor) -> Tensor:
    return (members != 0).sum(0).to(members.dtype) / available.sum(0).clamp(min=1)


def _assembled(
    settings: _Settings,
    whole: Moments,
    members: Tensor,
    available: Tensor,
    counts: Tensor | None,
    threshold: float | None,
) -> Ensemble:
    support = _inclusion(members, available) >= settings.inclusion
    ordered = members.sort(0).values
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    centre = members.mean(0) if settings.kind == "bagging" else middle
    theta, rates = whole.features, whole.targets
    equation = torch.arange(rates.shape[1], device=theta.device)
    refitted = least_squares(whole, torch.zeros_like(equation), equation, support)
    residual = ((rates - theta @ refitted.T) ** 2).sum(0)
    return Ensemble(
        members,
        available,
        support,
        torch.where(support, centre, 0.0),
        refitted,
        residual,
        len(theta),
        counts,
        threshold,
    )
