r"""Incompressible flow past a circular cylinder (diameter 1, far velocity 1), by a spectral method.

Vorticity and stream function in polar coordinates, :math:`u_r = \psi_\theta/r,\ u_\theta = -\psi_r`:

.. math:: \omega_t + u \cdot \nabla\omega = \nabla \cdot (\nu \nabla\omega), \qquad \nabla^2 \psi = -\omega .

Fourier in the angle (the products on 3/2 times as many angles, so without aliasing), Chebyshev collocation in s with
:math:`r = 1/2 + L (1 + s)/(b - s)`. In time the third-order backward differences with extrapolated advection (U. M.
Ascher, S. J. Ruuth, B. T. R. Wetton, doi:10.1137/0732037), diffusion implicit. Each Fourier mode has its own dense
inverses. The wall vorticity of each mode follows from :math:`\psi_r = 0` at the wall (influence matrix; P. Le Quere,
T. Alziary de Roquefort, doi:10.1016/0021-9991(85)90107-1); that of the mean from a single-valued pressure,
:math:`\overline{\omega_r} = 0`. Beyond `sponge` the viscosity grows, infinitely smoothly, so that the wake is smooth
where the grid is coarse and has died at the outer circle, where :math:`\omega = 0` and psi is that of the potential
flow. Inside the sponge's circle the fields satisfy the Navier-Stokes equations as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

__all__ = ["CylinderFlow", "Resolution", "chebyshev", "interpolation"]

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

RADIUS = 0.5


def chebyshev(count: int) -> tuple[Real, Real]:
    """Return Chebyshev points from -1 to 1 and the matrix of the derivative on them."""
    k = np.arange(count)
    s = -np.cos(np.pi * k / (count - 1))
    signs = np.where((k == 0) | (k == count - 1), 2.0, 1.0) * (-1.0) ** k
    # Differences of cosines by a product of sines keep their digits.
    angle = np.pi * k / (2 * (count - 1))
    gap = 2 * np.sin(angle[:, None] + angle) * np.sin(angle[:, None] - angle) + np.eye(count)
    matrix = signs[:, None] / signs / gap
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(1))
    return s, matrix


def interpolation(s: Real, places: Real) -> Real:
    """Return the matrix from values at Chebyshev points to values at places in [-1, 1] (barycentric)."""
    weights = (-1.0) ** np.arange(len(s))
    weights[[0, -1]] /= 2
    gap = places[:, None] - s
    exact = gap == 0
    gap[exact] = 1.0
    matrix = weights / gap
    hit = exact.any(1)
    matrix[hit] = exact[hit]
    return matrix / matrix.sum(1, keepdims=True)


@final
@dataclass(frozen=True)
class Resolution:
    """Radial points, highest Fourier mode, step in time."""

    radial: int
    modes: int
    step: float


@final
class CylinderFlow:
    """The flow at one resolution; `omega` and `psi` hold Fourier coefficients [mode, radial point].

    A field is sum over m of Re(c_m exp(i m theta)), c_0 real.

    Parameters
    ----------
    resolution : of space and time.
    viscosity : 1 / Reynolds number.
    radius : of the outer circle.
    sponge, strongest : where the viscosity begins to grow, and what it adds at the outer circle.
    half : the distance from the wall within which half of the radial points lie.
    stream : velocity far away (0 for a fluid at rest at infinity).
    """

    def __init__(
        self,
        resolution: Resolution,
        viscosity: float = 0.01,
        *,
        radius: float = 30.0,
        sponge: float = 9.5,
        strongest: float = 2.0,
        half: float = 9.0,
        stream: float = 1.0,
    ) -> None:
        self.resolution = resolution
        self.viscosity = viscosity
        self.stream = stream
        self._half, self._bound, self._sponge = half, 1 + 2 * half / (radius - RADIUS), sponge
        self.s, derivative = chebyshev(resolution.radial)
        self.r = RADIUS + half * (1 + self.s) / (self._bound - self.s)
        slope = half * (self._bound + 1) / (self._bound - self.s) ** 2
        self.derivative = derivative / slope[:, None]
        part = np.clip((self.r - sponge) / (radius - sponge), 0.0, 1.0)
        # exp(1 - 1/x) has derivatives of every order at 0, all of them 0.
        self.nu = viscosity + strongest * np.where(part > 0, np.exp(0.4 - 0.4 / np.maximum(part, 1e-3)), 0.0)
        self.m = np.arange(resolution.modes + 1)
        # Beside the wall the highest modes are empty, and faster than the step allows.
        highest = 55 * (1 + 1.5 * (self.r - RADIUS))
        self._damping = np.exp(-36 * np.minimum(self.m[:, None] / highest, 1.5) ** 12)
        self.angles = int(next_fast_len(3 * resolution.modes + 1, real=True) or 0)
        self.time = 0.0
        self.omega: Complex = np.zeros((len(self.m), len(self.r)), complex)
        self._former: list[tuple[Complex, Complex]] = []
        self.psi = self.stream_function(self.omega)

    # -- operators -----------------------------------------------------------------------------------------------------

    @cached_property
    def laplacians(self) -> Real:
        """Laplacian of each mode, [mode, point, point]."""
        second = self.derivative @ self.derivative + self.derivative / self.r[:, None]
        modes = (self.m**2.0)[:, None, None]
        return np.asarray(second - modes * np.diag(1 / self.r**2), np.float64)

    @cached_property
    def inverse_laplacians(self) -> Real:
        """From -omega inside to psi: no normal velocity at the wall; given at the outer circle or, for the mean, free.

        The mean follows from psi_r = 0 at the wall instead.
        """
        matrices = self.laplacians.copy()
        matrices[:, 0], matrices[:, -1] = np.eye(len(self.r))[[0, -1]]
        matrices[0, -1] = self.derivative[0]
        return np.asarray(np.linalg.inv(matrices), np.float64)

    @cached_property
    def _steps(self) -> Real:
        """From the right side inside to the next vorticity of each mode, without the stream's part."""
        diffusion = self.nu[:, None] * self.laplacians + (self.derivative @ self.nu)[:, None] * self.derivative
        matrices = 11 / 6 / self.resolution.step * np.eye(len(self.r)) - diffusion
        matrices[:, 0], matrices[:, -1] = np.eye(len(self.r))[[0, -1]]
        matrices[0, 0] = self.derivative[0]
        found = np.linalg.inv(matrices)
        wall = found[:, :, 0].copy()
        found[:, :, [0, -1]] = 0.0
        # Slip at the wall of what each right side makes, and of a unit vorticity at the wall.
        row = -np.einsum("j,mjk->mk", self.derivative[0], self._inside)
        slip = np.einsum("mk,mkj->mj", row, found)
        influence = np.einsum("mk,mk->m", row, wall)
        influence[0], slip[0] = 1.0, 0.0
        self._wall = wall / influence[:, None]
        return found - self._wall[:, :, None] * slip[:, None, :]

    @cached_property
    def _inside(self) -> Real:
        found = self.inverse_laplacians.copy()
        found[:, :, [0, -1]] = 0.0
        return found

    @cached_property
    def _outer(self) -> Complex:
        """The stream's part of psi, [point]: Im(exp(i theta)) = sin(theta) is Re(-i exp(i theta))."""
        level = self.stream * (self.r[-1] - RADIUS**2 / self.r[-1])
        return -1j * level * self.inverse_laplacians[1, :, -1]

    def stream_function(self, omega: Complex) -> Complex:
        """Return psi of a vorticity."""
        psi = _applied(self._inside, -omega)
        psi[1] += self._outer
        return psi

    # -- fields --------------------------------------------------------------------------------------------------------

    def physical(self, coefficients: Complex) -> Real:
        """Return the values [angle, point] at equal angles."""
        halved = coefficients / 2
        halved[0] *= 2
        return np.fft.irfft(halved * self.angles, self.angles, axis=0)

    def spectral(self, values: Real) -> Complex:
        """Return Fourier coefficients of values [angle, point]."""
        found = np.fft.rfft(values, axis=0)[: len(self.m)] * (2 / self.angles)
        found[0] /= 2
        return found

    def slopes(self, coefficients: Complex) -> tuple[Complex, Complex]:
        """Return the derivative in r, and that in theta divided by r."""
        flat = np.concatenate([coefficients.real, coefficients.imag]) @ self.derivative.T
        radial = flat[: len(self.m)] + 1j * flat[len(self.m) :]
        return radial, 1j * self.m[:, None] * coefficients / self.r

    def velocity(self) -> tuple[Complex, Complex]:
        """Return u_r and u_theta."""
        radial, angular = self.slopes(self.psi)
        return angular, -radial

    def _advection(self, omega: Complex, psi: Complex) -> Complex:
        """Return u . grad omega."""
        radial, angular = map(self.physical, self.slopes(psi))
        along, across = map(self.physical, self.slopes(omega))
        return self.spectral(angular * along - radial * across) * self._damping

    def pressure(self) -> Complex:
        """Return p, with p(wall) of zero mean, by its Poisson equation.

        The head H = p + |u|^2/2 has lap H = div(u x omega) - nu_r omega_theta / r, with H_r = -nu omega_theta / r at
        the wall and H_r = 0 at the outer circle (the momentum equation in r, where u_r stays as it is).
        """
        u_r, u_t = map(self.physical, self.velocity())
        omega = self.physical(self.omega)
        radial, angular = self.spectral(u_t * omega), self.spectral(-u_r * omega)
        turned = 1j * self.m[:, None] * self.omega / self.r
        right = self.slopes(radial)[0] + radial / self.r + 1j * self.m[:, None] * angular / self.r
        right -= (self.derivative @ self.nu) * turned
        right[:, 0], right[:, -1] = -self.nu[0] * turned[:, 0], 0.0
        matrices = self.laplacians.copy()
        matrices[:, 0], matrices[:, -1] = self.derivative[[0, -1]]
        # The mean's outer condition follows from the others; its level is free.
        matrices[0, -1] = np.eye(len(self.r))[0]
        head = np.linalg.solve(matrices, np.stack([right.real, right.imag], 2))
        found = head[..., 0] + 1j * head[..., 1] - self.spectral((u_r**2 + u_t**2) / 2)
        found[0] -= found[0, 0]
        return found

    def sampled(self, fields: list[Complex], x: Real, y: Real) -> list[Real]:
        """Return fields at points [N]."""
        r, theta = np.hypot(x, y), np.arctan2(y, x)
        s = (self._bound * (r - RADIUS) - self._half) / (r - RADIUS + self._half)
        matrix = interpolation(self.s, s)
        angle = self.m[:, None] * theta
        even, odd = np.cos(angle), np.sin(angle)
        return [((matrix @ f.real.T).T * even - (matrix @ f.imag.T).T * odd).sum(0) for f in fields]

    def velocity_at(self, x: Real, y: Real) -> tuple[Real, Real]:
        """Return u and v at points [N]."""
        u_r, u_t = self.sampled(list(self.velocity()), x, y)
        r = np.hypot(x, y)
        return (u_r * x - u_t * y) / r, (u_r * y + u_t * x) / r

    def forces(self) -> tuple[float, float]:
        """Return the coefficients of drag and lift, 2 F / (density velocity^2 diameter)."""
        across = self.slopes(self.omega)[0][1, 0]
        # p_theta / r = nu omega_r at the wall, and nu omega is the friction.
        strength = self.viscosity * (across * RADIUS - self.omega[1, 0])
        return float(-2 * np.pi * RADIUS * strength.imag), float(-2 * np.pi * RADIUS * strength.real)

    # -- time ----------------------------------------------------------------------------------------------------------

    def disturb(self, strength: float, x: float, y: float, width: float) -> None:
        """Add a round vortex."""
        theta = 2 * np.pi * np.arange(self.angles)[:, None] / self.angles
        square = (self.r * np.cos(theta) - x) ** 2 + (self.r * np.sin(theta) - y) ** 2
        self.restart(self.omega + self.spectral(strength * np.exp(-square / width**2)), self.time)

    def restart(self, omega: Complex, time: float, former: Sequence[Complex] = ()) -> None:
        """Go on from a vorticity; `former` holds those one and two steps before, by default the same."""
        self.omega, self.time = omega, time
        self.psi = self.stream_function(omega)
        self._former = []
        for one in former:
            self._former.append((one, self._advection(one, self.stream_function(one))))

    def refined(self, resolution: Resolution) -> CylinderFlow:
        """Return the same flow at another resolution."""
        other = CylinderFlow(
            resolution, self.viscosity, radius=float(self.r[-1]), sponge=self._sponge,
            strongest=float(self.nu[-1] - self.viscosity), half=self._half, stream=self.stream,
        )  # fmt: skip
        matrix = interpolation(self.s, other.s)
        count = min(len(self.m), len(other.m))

        def moved(omega: Complex) -> Complex:
            found = np.zeros_like(other.omega)
            found[:count] = omega[:count] @ matrix.T
            return found

        past = [self.omega, *(one for one, _ in self._former)]
        former = []
        if len(past) == 3:
            for number in (1, 2):
                # The parabola through the last three, at the other steps.
                k = number * resolution.step / self.resolution.step
                former.append(
                    moved((1 - k) * (2 - k) / 2 * past[0] + k * (2 - k) * past[1] + k * (k - 1) / 2 * past[2])
                )
        other.restart(moved(self.omega), self.time, former)
        return other

    def advance(self, steps: int = 1) -> None:
        """Go on by so many steps."""
        for _ in range(steps):
            now = (self.omega, self._advection(self.omega, self.psi))
            first, second = self._former if self._former else (now, now)
            state = 3 * now[0] - 1.5 * first[0] + second[0] / 3
            right = state / self.resolution.step - (3 * now[1] - 3 * first[1] + second[1])
            omega = _applied(self._steps, right)
            # The stream slips along the wall; the wall's vorticity undoes it.
            omega[1] -= self._wall[1] * (self.derivative[0] @ self._outer)
            self._former = [now, first]
            self.omega = omega
            self.psi = self.stream_function(omega)
            self.time += self.resolution.step


def _applied(matrices: Real, coefficients: Complex) -> Complex:
    """Return the product of each mode's matrix with its coefficients."""
    both = np.stack([coefficients.real, coefficients.imag], 2)
    found = matrices @ both
    return found[..., 0] + 1j * found[..., 1]
