r"""Normal equations of a step without its Jacobian.

At the place x_n a row is r_n(c, c', ...), c^(a) = C phi^(a)(x_n) the modes there, with small Jacobians L_n^a. Then

.. math:: J_C^T J_C = \sum_n \sum_{ab} (L_n^{aT} L_n^b) \otimes (\phi^{(a)}_n \phi^{(b)T}_n),

a product of matrices over the places: for q stages, n modes and m units its cost is that of N n^2 m^2 products and not
of N q n^2 m^2, and it does not depend on q. What the trained layers add has the same form.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from sciml.pinn.stage_rows import Slopes
from sciml.training.linearization import accumulate

__all__ = ["NormalEquations"]


@final
class NormalEquations:
    """A = sum J'J and g = sum J'r over what was added; the unknowns are C [K, m], the trained [P], the numbers [S].

    Attributes
    ----------
    loss : sum r^2.
    """

    def __init__(self, coefficients: Tensor, numbers: int, trained: slice | None = None, parameters: int = 0) -> None:
        self._coefficients = coefficients
        self._trained = trained
        modes, units = coefficients.shape
        self.loss = 0.0
        self._modes, self._units = modes, units
        self._counts = (modes * units, parameters, numbers)
        # Blocks by (rows, columns); that of C is kept as [K, K, m, m] until the end.
        self._cc = coefficients.new_zeros((modes * modes, units * units))
        self._cp = coefficients.new_zeros((units, modes * parameters))
        self._cs = coefficients.new_zeros((modes * units, numbers))
        self._pp = coefficients.new_zeros((parameters, parameters))  # its lower triangle
        self._ps = coefficients.new_zeros((parameters, numbers))
        self._ss = coefficients.new_zeros((numbers, numbers))
        self._vector = coefficients.new_zeros(sum(self._counts))

    def add(self, slopes: Slopes, units: Tensor, sensitivities: Tensor | None = None) -> None:
        """Add rows.

        Parameters
        ----------
        slopes : of the rows.
        units : derivatives [A, N, m] of the units at their places.
        sensitivities : of the trained units' derivatives by the trained parameters, [A, N, trained units, P].
        """
        values, inner, numbers, orders = slopes
        count, modes = len(values), self._modes
        flat = inner.flatten(2)  # [N, R, E K]
        phi = units[list(orders)]
        many = len(orders)
        self.loss += float(values.square().sum())
        gram = torch.bmm(flat.mT, flat).view(count, many, modes, many, modes)
        gradient = torch.bmm(flat.mT, values[:, :, None]).view(count, many, modes)
        for a in range(many):
            for b in range(a, many):
                product = (phi[a][:, :, None] * phi[b][:, None, :]).flatten(1)
                block = gram[:, a, :, b, :].reshape(count, -1).T @ product
                self._cc += block
                if a != b:
                    shape = (modes, modes, self._units, self._units)
                    self._cc += block.view(shape).permute(1, 0, 3, 2).reshape(block.shape)
        c, p, s = self._counts
        self._vector[:c] += torch.einsum("nek,enj->kj", gradient, phi).flatten()
        across = torch.bmm(flat.mT, numbers).view(count, many, modes, s)
        if s:
            self._cs += torch.einsum("neks,enj->kjs", across, phi).flatten(0, 1)
            self._ss += torch.einsum("nrs,nrt->st", numbers, numbers)
            self._vector[c + p :] += torch.einsum("nrs,nr->s", numbers, values)
        if p:
            assert sensitivities is not None
            self._add_trained(slopes, flat, phi, sensitivities[list(orders)])

    def _add_trained(self, slopes: Slopes, flat: Tensor, phi: Tensor, moved: Tensor) -> None:
        """Add what the trained layers take part in; `moved` is [E, N, trained units, P]."""
        count, rows, many, modes = slopes.modes.shape
        c, p, s = self._counts
        outer = self._coefficients[:, self._trained]  # [K, trained units]
        by_units = (slopes.modes @ outer).flatten(2)
        jacobian = torch.bmm(by_units, moved.transpose(0, 1).reshape(count, -1, p))  # [N, R, P]
        across = torch.bmm(flat.mT, jacobian).view(count, many, modes * p)
        for a in range(many):
            self._cp.addmm_(phi[a].T, across[:, a])
        tall = jacobian.view(count * rows, p)
        accumulate(self._pp, self._vector[c : c + p], tall, slopes.values.flatten(), 1.0)
        if s:
            self._ps += tall.T @ slopes.numbers.view(count * rows, s)

    def result(self) -> tuple[Tensor, Tensor]:
        """Return A and g."""
        c, p, _ = self._counts
        modes, units = self._modes, self._units
        matrix = self._vector.new_empty((len(self._vector), len(self._vector)))
        block = self._cc.view(modes, modes, units, units).permute(0, 2, 1, 3)
        matrix[:c, :c] = block.reshape(c, c)
        matrix[:c, c : c + p] = self._cp.view(units, modes, p).transpose(0, 1).reshape(c, p)
        matrix[:c, c + p :] = self._cs
        matrix[c : c + p, c : c + p] = torch.tril(self._pp) + torch.tril(self._pp, -1).T
        matrix[c : c + p, c + p :] = self._ps
        matrix[c + p :, c : c + p] = self._ps.T
        matrix[c + p :, c + p :] = self._ss
        matrix[c:, :c] = matrix[:c, c:].T
        return matrix, self._vector


def pulled_back(slopes: Slopes, values: Tensor, units: Tensor) -> Tensor:
    """Return J'r by C and the numbers for these rows' slopes and other residuals [N, R], [K m + S]."""
    inner = torch.einsum("nrek,nr->nek", slopes.modes, values)
    by_modes = torch.einsum("nek,enj->kj", inner, units[list(slopes.orders)]).flatten()
    return torch.cat((by_modes, torch.einsum("nrs,nr->s", slopes.numbers, values)))
