"""Single panels of a figure: curves, field maps, errors, phase portraits, losses. Each draws into the axes it is given.

Style: serif letters that match mathematics, perceptually uniform colour maps (diverging about zero for signed fields),
the line colours of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sciml.typography import pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "STYLE",
    "Picture",
    "color_of",
    "curves",
    "error_curves",
    "field",
    "headroom",
    "losses",
    "mathtext",
    "phase",
    "visible_range",
]

STYLE: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.linewidth": 0.7,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.4,
    "figure.dpi": 120,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "sciml",
}

# Okabe and Ito: blue, vermillion, green, purple, orange, sky blue; black is kept for totals.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
# A map is drawn in one colour direction when this share of its range lies on one side of zero.
_ONE_SIDED = 0.02
MOST_TERMS = 5
# Free part of the axis after the last iteration.
AFTER = 0.04
# Below this an error is rounding; a logarithmic axis down to 1e-300 would show nothing else.
_FLOOR = 1e-17


@final
class Picture(Figure):
    """A matplotlib figure that shows itself in a notebook without pyplot."""

    def _repr_png_(self) -> bytes:
        from io import BytesIO

        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def color_of(index: int) -> str:
    """Return the line colour with this number."""
    return _COLORS[index % len(_COLORS)]


def mathtext(name: str) -> str:
    r"""Return a name as mathematics: `theta` as Greek, `x1` with a subscript, a long name upright."""
    import sympy

    text = sympy.latex(sympy.Symbol(name))
    return rf"\mathrm{{{text}}}" if len(name) > 1 and text == name else text


def curves(
    axes: Axes,
    x: np.ndarray,
    values: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    marks: int = 25,
) -> None:
    """Draw functions of one variable: the reference as lines with the solution as dots on it, or lines alone."""
    for index, (name, y) in enumerate(values.items()):
        color = color_of(index)
        if not reference:
            axes.plot(x, y, color=color, linestyle=_DASHES[index % len(_DASHES)], label=f"${mathtext(name)}$")
            continue
        axes.plot(x, reference[name], color=color, alpha=0.65, linewidth=1.6)
        at = _spread(x, y, marks, index / len(values))
        style = {"marker": _MARKERS[index % len(_MARKERS)], "markersize": 3.8, "linestyle": "none"}
        axes.plot(x[at], y[at], color=color, label=f"${mathtext(name)}$", markeredgecolor="white", mew=0.3, **style)
    axes.margins(x=0)


def _spread(x: np.ndarray, y: np.ndarray, marks: int, shift: float) -> np.ndarray:
    """Return the indices of dots at equal distances along a curve, so that layers get theirs too.

    `shift` in [0, 1) moves the dots of different unknowns against each other: crossing curves stay readable.
    """
    height = float(np.ptp(y)) or 1.0
    steps = np.hypot(np.diff(x) / float(np.ptp(x)) * 1.5, np.diff(y) / height)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    places = (np.arange(marks) + 0.25 + 0.75 * shift) / marks * length[-1]
    return np.unique(np.searchsorted(length, places).clip(0, len(x) - 1))


def error_curves(axes: Axes, x: np.ndarray, errors: Mapping[str, np.ndarray]) -> None:
    """Draw absolute errors of functions of one variable on a logarithmic axis."""
    for index, (name, error) in enumerate(errors.items()):
        axes.semilogy(x, np.maximum(error, _FLOOR), color=color_of(index), linewidth=1.0, label=f"${mathtext(name)}$")
    largest = max((float(error.max()) for error in errors.values()), default=1.0)
    if largest > 0:
        # The error's zero crossings are dips without meaning: the axis ends where one value in a hundred is smaller.
        usual = min(float(np.quantile(error, 0.01)) for error in errors.values())
        axes.set_ylim(max(usual / 2, largest * 1e-6, _FLOOR), max(largest * 4, 4 * _FLOOR))
    axes.margins(x=0)


def field(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    *,
    error: bool = False,
    limits: tuple[float, float] | None = None,
    equal: bool = False,
) -> Any:
    """Draw `values` [len(y), len(x)] as a colour map and return it for the colour bar."""
    low, high = limits or visible_range(values)
    if error:
        low, high, colors = 0.0, high if high > 0 else _FLOOR, "magma_r"
    elif low < -_ONE_SIDED * (high - low) and high > _ONE_SIDED * (high - low):
        size = max(-low, high)
        low, high, colors = -size, size, "RdBu_r"
    else:
        colors = "viridis"
        if high - low <= 1e-12 * max(abs(low), abs(high)):
            low, high = low - 0.5, high + 0.5
    mesh = axes.pcolormesh(x, y, values, cmap=colors, vmin=low, vmax=high, shading="gouraud", rasterized=True)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2.5, 5, 10]))
    if equal:
        axes.set_aspect("equal")
    return mesh


def visible_range(values: np.ndarray) -> tuple[float, float]:
    """Return the limits of a colour map: all values, but for a thousandth at either end that would drown the rest.

    A singular corner is such an end; the arrows of the colour bar tell that values lie beyond.
    """
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(v) for v in np.quantile(values, (0.001, 0.999)))
    return (inner_low, inner_high) if high - low > 5 * (inner_high - inner_low) > 0 else (low, high)


def phase(axes: Any, columns: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> None:
    """Draw a trajectory in the plane or in space: the reference grey beneath, the solution on it, the start marked."""
    labels = [rf"\dot{{{mathtext(name[:-1])}}}" if name.endswith("'") else mathtext(name) for name in columns]
    if reference:
        axes.plot(*reference.values(), color="0.7", linewidth=2.6)
    axes.plot(*columns.values(), color=color_of(0), linewidth=1.0)
    axes.plot(*([column[0]] for column in columns.values()), "o", color="black", markersize=4)
    axes.set_xlabel(f"${labels[0]}$")
    axes.set_ylabel(f"${labels[1]}$")
    if len(columns) == 3:
        axes.set_zlabel(f"${labels[2]}$")
        axes.view_init(elev=18, azim=-60)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.pane.set_alpha(0.0)
            axis.set_tick_params(labelsize=8, pad=0)
            axis.set_major_locator(MaxNLocator(4))
        axes.set_box_aspect(None, zoom=1.05)
        axes.grid(visible=False)


def losses(axes: Axes, history: Mapping[str, np.ndarray]) -> None:
    """Draw the loss and its named terms over the iterations, logarithmically."""
    iterations = history.get("iteration", np.arange(len(history["loss"])))
    terms = {name.removeprefix("loss: "): v for name, v in history.items() if name.startswith("loss: ")}
    total = history["loss"]
    if len(terms) != 1:
        axes.semilogy(iterations, _positive(total), color="0.75", linewidth=3.0, label="total")
    # Many terms (a condition per side) make an unreadable legend: the largest at the end keep their names.
    ranked = sorted(terms, key=lambda name: -float(np.nan_to_num(terms[name][-1])))[:MOST_TERMS]
    for index, name in enumerate(ranked):
        style = {"color": color_of(index), "linewidth": 1.0, "marker": "o", "markersize": 3.0}
        end = [len(iterations) - 1]
        axes.semilogy(iterations, _positive(terms[name]), markevery=end, label=_plain(name), **style)
    # A correction lowers the loss at one iteration: where the last does, the fall would lie on the frame.
    axes.set_xlabel("iteration")
    axes.set_title("loss")
    first, last = float(np.min(iterations)), float(np.max(iterations))
    axes.set_xlim(first, last + AFTER * ((last - first) or 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.legend(loc="upper right", fontsize=8, labelspacing=0.3)
    headroom(axes, 0.07 * (len(ranked) + (len(terms) != 1)))


def headroom(axes: Axes, share: float) -> None:
    """Leave this share of the height free above the curves, for a legend."""
    low, high = axes.get_ylim()
    stretch = share / (1 - share)
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** stretch)
    else:
        axes.set_ylim(low, high + stretch * (high - low))


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _plain(text: str) -> str:
    """Return the name of a term for a legend: short, and without what matplotlib would take for mathematics."""
    text = pretty(text).replace("-", "−")
    return (text if len(text) <= 30 else text[:28] + " …").replace("$", r"\$")
