"""What the command `discover` says and writes: words for the terminal, one JSON object, a directory of files."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import ScimlError
from sciml.report import versions, write_json
from sciml.typography import pretty, short

if TYPE_CHECKING:
    from sciml.gridded import Grid
    from sciml.sindy.discovery import Discovery
    from sciml.tabular import Records

__all__ = ["describe_data", "describe_law", "document", "write_results"]


def describe_data(name: str, measured: Records | Grid) -> str:
    """Return what was read and what was assumed about it, a line each."""
    from sciml.gridded import Grid

    if isinstance(measured, Grid):
        sizes = " x ".join(f"{axis} {len(values)}" for axis, values in measured.coordinates.items())
        lines = [f"{name}: {', '.join(measured.fields)} on a grid ({sizes})"]
    else:
        samples = sum(len(times) for times in measured.times)
        several = f" in {len(measured.times)} trajectories" if len(measured.times) > 1 else ""
        low, high = min(t.min() for t in measured.times), max(t.max() for t in measured.times)
        lost = sum(int(np.isnan(x).sum()) for x in measured.states)
        counted = f"{samples} sample{'s' * (samples != 1)} of {', '.join(measured.names)}{several}"
        lines = [f"{name}: {counted}, t from {low:.6g} to {high:.6g}"]
        lines += [f"    inputs: {', '.join(measured.control_names)}"] if measured.control_names else []
        lines += [f"    {lost} entries are missing"] if lost else []
    return "\n".join([*lines, *(f"    assumed: {text}" for text in measured.assumptions)])


def describe_law(law: Discovery) -> str:
    """Return the equations, every term with its error and probability, the runner-up, the noise, and the verdict."""
    encoding = sys.stdout.encoding or "ascii"
    sign = "±" if encoding.lower().replace("-", "").startswith("utf") else "+-"
    lines = [f"found in {law.wall_time:.2g} s by {law.method}:"]
    lines += [f"    {pretty(text, encoding)}" for text in law.equations]
    width = max((len(term) for terms in law.coefficients.values() for term in terms), default=0)
    first = max(len(name) for name in law.names)
    lines.append("terms, standard errors, inclusion probabilities:")
    for name in law.names:
        for term, value in law.coefficients[name].items():
            error = law.standard_errors.get(name, {}).get(term)
            sure = law.inclusion.get(name, {}).get(term)
            shown = f"{value: .6g}" + (f" {sign} {error:.2g}" if error else "")
            probability = "" if sure is None else f"   {min(sure, 1.0):.2f}"
            lines.append(f"    {name:<{first}}  {term:<{width}}  {shown:<24}{probability}".rstrip())
    for below, relative in law.diagnostics.get("inner_constants", {}).items():
        half = float(below.split(" + ")[0])
        lines.append(f"estimated with them: {half:.6g} {sign} {half * relative:.2g} in {below}")
    if law.noise:
        lines.append(f"noise: {', '.join(f'{name} {short(float(value))}' for name, value in law.noise.items())}")
    if law.alternatives:
        rival = law.alternatives[0]
        changed = [e for e, own in zip(rival.equations, law.equations, strict=True) if _terms(e) != _terms(own)]
        shown = "; ".join(pretty(text, encoding) for text in changed or rival.equations)
        lines.append(f"runner-up (weight {rival.weight:.2g}): {shown}")
    verdict = "to be trusted" if law.trusted else "NOT to be trusted"
    lines.append(f"{verdict}: {law.message}")
    return "\n".join(lines)


def _terms(equation: str) -> str:
    """Return an equation without its numbers, to see whether two have the same terms."""
    import re

    return re.sub(r"(?<![A-Za-z_*])\d+\.?\d*(?:e[+-]?\d+)?", "", equation)


def document(law: Discovery, name: str, assumptions: Sequence[str]) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    return {
        **law.to_dict(),
        "success": law.success,
        "status": law.status.value,
        "message": law.message,
        "kind": law.kind,
        "names": list(law.names),
        "file": name,
        "assumed": list(assumptions),
        "versions": versions(),
    }


def write_results(
    law: Discovery, found: Mapping[str, Any], directory: Path, command: Sequence[str], options: Mapping[str, Any]
) -> list[str]:
    """Write law, figure and configuration; return the names of the files, or why one is missing."""
    from sciml.plotting import write_figure

    written: list[str] = []
    try:
        written.append(law.save(directory / "discovery.safetensors").name)
    except ScimlError as error:
        written.append(f"no file of the law ({error})")
    try:
        figure = law.plot()
        written += [write_figure(figure, directory / f"figure.{suffix}").name for suffix in ("png", "pdf")]
    except ScimlError as error:
        written.append(f"no figure ({error})")
    config = {
        "command": list(command),
        "options": {name: value for name, value in options.items() if name != "json"},
        "result": dict(found),
        "platform": platform.platform(),
    }
    return [*written, write_json(config, directory / "config.json").name]
