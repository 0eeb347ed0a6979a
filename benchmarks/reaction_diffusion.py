r"""The lambda-omega reaction-diffusion system in two dimensions, computed: a spiral wave for the discovery of its law.

.. math::

    u_t = 0.1 \nabla^2 u + (1 - A^2) u + A^2 v, \qquad v_t = 0.1 \nabla^2 v - A^2 u + (1 - A^2) v

with A^2 = u^2 + v^2,

on the periodic square [-10, 10)^2 from u + i v = tanh(r) exp(i (phi - r)), the setting of Rudy et al. (2017),
doi:10.1126/sciadv.1602614. Fourier in space, fourth-order exponential time differencing (Kassam and Trefethen 2005,
doi:10.1137/S1064827502410633) in time, for the complex field h = u + i v: h_t = 0.1 lap h + h - (1 + i) |h|^2 h.

    python -m benchmarks.reaction_diffusion       prints how far two resolutions differ
"""

from __future__ import annotations

import numpy as np

__all__ = ["TRUTH", "spiral"]

DIFFUSION = 0.1
SIDE = 20.0
END = 10.0
TRUTH = {
    "u": {"u": 1.0, "u_xx": 0.1, "u_yy": 0.1, "u**3": -1.0, "u**2*v": 1.0, "u*v**2": -1.0, "v**3": 1.0},
    "v": {"v": 1.0, "v_xx": 0.1, "v_yy": 0.1, "u**3": -1.0, "u**2*v": -1.0, "u*v**2": -1.0, "v**3": -1.0},
}


def spiral(
    points: int = 128, times: int = 101, substeps: int = 4, finer: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x (which is y too), t and the complex field [len(x), len(y), len(t)].

    Parameters
    ----------
    points : on each side, of what is returned; the computation has `finer` times as many.
    times : number of samples from 0 to 10, both ends included.
    substeps : time steps between two samples.
    """
    points *= finer
    x = -SIDE / 2 + SIDE * np.arange(points) / points
    t = np.linspace(0.0, END, times)
    X, Y = np.meshgrid(x, x, indexing="ij")
    radius = np.hypot(X, Y)
    h = np.tanh(radius) * np.exp(1j * (np.angle(X + 1j * Y) - radius))
    wave = 2.0 * np.pi * np.fft.fftfreq(points, SIDE / points)
    linear = 1.0 - DIFFUSION * (wave[:, None] ** 2 + wave[None] ** 2)
    step = (t[1] - t[0]) / substeps
    # Contour integrals instead of cancelling quotients.
    circle = np.exp(1j * np.pi * (np.arange(1, 33) - 0.5) / 32)
    z = step * linear[..., None] + circle
    whole, half = np.exp(step * linear), np.exp(step * linear / 2)
    q = step * np.mean((np.exp(z / 2) - 1) / z, axis=-1).real
    f1 = step * np.mean((-4 - z + np.exp(z) * (4 - 3 * z + z**2)) / z**3, axis=-1).real
    f2 = step * np.mean((2 + z + np.exp(z) * (z - 2)) / z**3, axis=-1).real
    f3 = step * np.mean((-4 - 3 * z - z**2 + np.exp(z) * (4 - z)) / z**3, axis=-1).real

    def reaction(spectrum: np.ndarray) -> np.ndarray:
        value = np.fft.ifft2(spectrum)
        return np.fft.fft2(-(1 + 1j) * np.abs(value) ** 2 * value)

    spectrum = np.fft.fft2(h)
    found = np.empty((points // finer, points // finer, times), dtype=complex)
    found[..., 0] = h[::finer, ::finer]
    for k in range(1, times):
        for _ in range(substeps):
            first = reaction(spectrum)
            a = half * spectrum + q * first
            second = reaction(a)
            b = half * spectrum + q * second
            third = reaction(b)
            c = half * a + q * (2 * third - first)
            spectrum = whole * spectrum + f1 * first + 2 * f2 * (second + third) + f3 * reaction(c)
        found[..., k] = np.fft.ifft2(spectrum)[::finer, ::finer]
    return x[::finer], t, found


def main() -> None:
    """Print how far the field is from one with half the time step, and from one with half the spacing."""
    _, _, field = spiral(times=11, substeps=40)
    _, _, later = spiral(times=11, substeps=80)
    _, _, finer = spiral(times=11, substeps=40, finer=4)
    size = np.linalg.norm(field)
    print(f"half the time step: {np.linalg.norm(field - later) / size:.1e}")
    print(f"half the spacing: {np.linalg.norm(field - finer) / size:.1e}")


if __name__ == "__main__":
    main()
