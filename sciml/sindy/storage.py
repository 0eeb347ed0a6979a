"""Discoveries as files: one safetensors file with JSON in its header. Nothing in it is ever executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.containers import Container, join_complex, split_complex
from sciml.storage import contents_of, plain

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery

__all__ = ["load", "save"]

FILE = Container("discovery", 1, "Discovery.save", "discover the law again")
_ARRAYS = ("states", "times", "data")
_PLAIN = ("coefficients", "standard_errors", "intervals", "inclusion", "noise", "diagnostics", "method", "seed", "kind")


def save(law: Discovery, path: str | Path) -> Path:
    """Write a discovery to one file; the suffix `.safetensors` is added where it is missing.

    Raises
    ------
    ArgumentError
        the path cannot be written.
    """
    arrays: dict[str, Any] = {}
    for group in _ARRAYS:
        for k, array in enumerate(getattr(law, group)):
            arrays[f"{group}/{k}"] = np.asarray(array)
    for name, values in law.history.items():
        arrays[f"history/{name}"] = np.asarray(values, dtype=np.float64)
    arrays, twofold = split_complex(arrays)
    document = {key: plain(getattr(law, key)) for key in _PLAIN}
    document |= {
        "names": list(law.names),
        "equations": list(law.equations),
        "alternatives": [
            {"equations": list(a.equations), "weight": float(a.weight), "coefficients": plain(a.coefficients)}
            for a in law.alternatives
        ],
        "wall_time": float(law.wall_time),
        "history": list(law.history),
        "coordinates": list(law.coordinates),
        "control": list(law.control),
        "counts": {group: len(getattr(law, group)) for group in _ARRAYS},
        "complex": twofold,
    }
    return FILE.write(path, document, arrays)


def load(path: str | Path) -> Discovery:
    """Read a discovery; the values are those that were saved, bit for bit.

    Raises
    ------
    FileFormatError
        the file does not exist, is damaged or foreign.
    """
    from sciml.sindy.discovery import Alternative, Discovery

    target = FILE.existing(path)
    document, arrays = FILE.read(target)
    with contents_of(target, FILE):
        arrays = join_complex(arrays, document["complex"])
        groups: dict[str, Any] = {
            group: tuple(arrays[f"{group}/{k}"] for k in range(document["counts"][group])) for group in _ARRAYS
        }
        return Discovery(
            tuple(document["names"]),
            tuple(document["equations"]),
            _numbers(document["coefficients"]),
            standard_errors=_numbers(document["standard_errors"]),
            intervals={
                name: {term: (_number(pair[0]), _number(pair[1])) for term, pair in terms.items()}
                for name, terms in document["intervals"].items()
            },
            inclusion=_numbers(document["inclusion"]),
            alternatives=tuple(
                Alternative(tuple(a["equations"]), a["weight"], _numbers(a["coefficients"]))
                for a in document["alternatives"]
            ),
            noise={name: _number(value) for name, value in document["noise"].items()},
            diagnostics=document["diagnostics"],
            method=document["method"],
            wall_time=document["wall_time"],
            seed=document["seed"],
            history={name: arrays[f"history/{name}"].tolist() for name in document["history"]},
            kind=document["kind"],
            coordinates=tuple(document["coordinates"]),
            control=tuple(document["control"]),
            **groups,
        )


def _number(value: float | None) -> float:
    """Return a number; what was not finite is null in JSON."""
    return float("nan") if value is None else float(value)


def _numbers(entry: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {name: {term: _number(value) for term, value in terms.items()} for name, terms in entry.items()}
