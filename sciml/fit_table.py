"""A fit in words and numbers: tables for the terminal and the notebook, and plain data for JSON."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import Box
from rich.console import Console
from rich.table import Table

from sciml.storage import plain
from sciml.typography import short

if TYPE_CHECKING:
    from sciml.fit import Fit, FunctionEstimate
    from sciml.inference import Estimate

__all__ = [
    "digits_for",
    "function_row",
    "html",
    "open_direction_text",
    "shown",
    "summary",
    "table",
    "text_table",
    "to_dict",
]

# Two weights count as equal within this: they are means over the data, rounded to three digits.
EQUAL = 0.05
# Letters of ASCII only: the table is printed on any terminal and written to any file.
_LINES = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def digits_for(value: float, error: float) -> int:
    """Return how many significant digits of a value mean something: down to the second digit of its error."""
    if not (math.isfinite(value) and math.isfinite(error)) or value == 0 or error <= 0:
        return 6
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 2
    return max(2, min(digits, 15))


def open_direction_text(direction: Mapping[str, float], values: Mapping[str, float]) -> str:
    """Say in words which combination of numbers the data leave open, and which they determine.

    Parameters
    ----------
    direction : changes by name, relative to the values (as `sciml.inference.open_directions` gives them).
    values : of the unknown numbers.
    """
    names = list(direction)
    if len(names) == 1:
        return f"the data do not determine {names[0]}"
    if len(names) == 2:
        return f"the data determine {_determined(direction, values)}, not {names[0]} and {names[1]} separately"
    changes = ", ".join(f"{name} by {100 * part:+.0f} %" for name, part in direction.items())
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"the data do not determine {listed} separately: they fit as well after changing {changes} together"


def _determined(direction: Mapping[str, float], values: Mapping[str, float]) -> str:
    """Return the combination of two numbers that does not change along a direction, as simply as possible."""
    (a, b), (da, db) = direction, direction.values()
    # Absolute changes; a value of zero has no relative one, and its direction is absolute already.
    size_a, size_b = values.get(a, 0.0), values.get(b, 0.0)
    step_a, step_b = da * (abs(size_a) or 1.0), db * (abs(size_b) or 1.0)
    if abs(abs(step_a) - abs(step_b)) <= EQUAL * max(abs(step_a), abs(step_b)):
        return f"{a} {'+' if step_a * step_b < 0 else '-'} {b}"
    if size_a and size_b and abs(abs(da) - abs(db)) <= EQUAL * max(abs(da), abs(db)):
        same = da * db * size_a * size_b > 0
        return f"{a}/{b}" if same else f"{a}*{b}"
    weight = step_a / step_b
    return f"{a} {'+' if weight < 0 else '-'} {abs(weight):.3g}*{b}"


def table(fit: Fit) -> str:
    """Return the numbers and functions of a fit with their uncertainty, the noise, and what to beware of."""
    lines: list[str] = []
    if fit.parameters:
        rows = [(name, *shown(e)) for name, e in fit.parameters.items()]
        lines.append(text_table(("name", "value", "standard error", "95 % interval"), rows))
    if fit.functions:
        rows = [function_row(function) for function in fit.functions.values()]
        lines.append(text_table(("function", "range of values", "mean standard error", "over"), rows))
    lines += [f"{name}: {text}" for name, text in _facts(fit).items()]
    lines += [f"warning: {text}" for text in fit.warnings]
    return "\n".join(lines)


def summary(fit: Fit) -> str:
    """Return the representation of a fit."""
    head = f"Fit of {fit.problem.name or 'a problem'} to {_data(fit)}" if fit.observations else "Fit"
    how = f"{fit.method}; " if fit.method else ""
    end = f"{how}{fit.status.value} after {fit.wall_time:.3g} s: {fit.message}"
    return "\n".join([head, *(f"  {line}".rstrip() for line in [*table(fit).splitlines(), end])])


def html(fit: Fit) -> str:
    """Return the representation of a fit for a notebook."""
    from html import escape

    def row(cells: Sequence[str], tag: str) -> str:
        style = ' style="text-align:left"'
        return "<tr>" + "".join(f"<{tag}{style}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    rows = [row(("name", "value", "standard error", "95 % interval"), "th")]
    rows += [row((name, *shown(e)), "td") for name, e in fit.parameters.items()]
    rows += [row(function_row(function), "td") for function in fit.functions.values()]
    facts = "".join(f"<div>{escape(name)}: {escape(text)}</div>" for name, text in _facts(fit).items())
    warned = "".join(f"<div><b>warning: {escape(text)}</b></div>" for text in fit.warnings)
    title = escape(f"Fit of {fit.problem.name or 'a problem'}")
    end = escape(f"{fit.status.value} after {fit.wall_time:.3g} s: {fit.message}")
    return (
        f"<div><b>{title}</b><div>{fit._repr_latex_()}</div><table>{''.join(rows)}</table>"
        f"{facts}{warned}<div>{end}</div></div>"
    )


def to_dict(fit: Fit) -> dict[str, Any]:
    """Return a fit as plain numbers and texts; what is not finite is None."""
    return plain(
        {
            "problem": fit.problem.name or ", ".join(fit.problem.to_dict()["equations"]),
            "parameters": {
                name: {"value": e.value, "standard_error": e.standard_error, "interval": list(e.interval)}
                for name, e in fit.parameters.items()
            },
            "functions": {
                name: {"arguments": list(function.arguments), **function.sample()}
                for name, function in fit.functions.items()
            },
            "noise": dict(fit.noise),
            "noise_given": fit.noise_given,
            "noise_model": fit.noise_model,
            "correlation": np.asarray(fit.correlation),
            "freedom": fit.freedom,
            "undetermined": list(fit.undetermined),
            "warnings": list(fit.warnings),
            "data": [{"source": one.source, "points": len(one.points), **one.counts} for one in fit.observations],
            "success": fit.success,
            "status": fit.status.value,
            "message": fit.message,
            "method": fit.method,
            "seconds": fit.wall_time,
            "seed": fit.details.get("seed"),
        }
    )


def shown(e: Estimate) -> tuple[str, str, str]:
    """Return value, standard error and interval of a number with the digits that mean something."""
    digits = digits_for(e.value, e.standard_error)
    error = f"{e.standard_error:.2g}" if math.isfinite(e.standard_error) else "unknown"
    return f"{e.value:.{digits}g}", error, f"[{e.interval[0]:.{digits}g}, {e.interval[1]:.{digits}g}]"


def function_row(function: FunctionEstimate) -> tuple[str, str, str, str]:
    """Return signature, range of values, mean standard error and range of the arguments of a function."""
    found = function.sample()
    error = float(np.mean(found["standard_error"]))
    ranges = zip(function.arguments, function.lower, function.upper, strict=True)
    return (
        f"{function.name}({', '.join(function.arguments)})",
        f"{found['value'].min():.4g} to {found['value'].max():.4g}",
        f"{error:.2g}" if math.isfinite(error) else "unknown",
        ", ".join(f"{name} in [{low:.4g}, {high:.4g}]" for name, low, high in ranges),
    )


def _facts(fit: Fit) -> dict[str, str]:
    """Return noise, data and correlation in words."""
    found: dict[str, str] = {}
    if fit.noise:
        of = "of the logarithm, " if fit.noise_model == "multiplicative" else ""
        origin = "given" if fit.noise_given else "estimated"
        sizes = ", ".join(f"{name} {short(size)}" for name, size in fit.noise.items())
        found["noise"] = f"{sizes} (standard deviation {of}{origin}; {fit.noise_model})"
    pairs = _correlated(fit)
    if pairs:
        found["correlated"] = ", ".join(f"{a} and {b} {value:+.3f}" for a, b, value in pairs)
    return found


def _correlated(fit: Fit, least: float = 0.9, most: int = 5) -> list[tuple[str, str, float]]:
    """Return the most correlated pairs of numbers."""
    names = list(fit.parameters)
    matrix = np.asarray(fit.correlation)
    if matrix.shape != (len(names), len(names)):
        return []
    pairs = [(names[i], names[j], float(matrix[i, j])) for j in range(len(names)) for i in range(j)]
    return sorted((pair for pair in pairs if abs(pair[2]) >= least), key=lambda pair: -abs(pair[2]))[:most]


def _data(fit: Fit) -> str:
    count, several = sum(one.count for one in fit.observations), len(fit.observations)
    return f"{count} numbers" + (f" of {several} experiments" if several > 1 else "")


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in letters of ASCII."""
    made = Table(*head, box=_LINES, pad_edge=False, show_edge=False, header_style="")
    for row in rows:
        made.add_row(*row)
    stream = io.StringIO()
    Console(file=stream, width=200, color_system=None, force_terminal=False, highlight=False, markup=False).print(made)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines() if line.strip())
