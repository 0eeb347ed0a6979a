"""Discoveries as files: one safetensors file with JSON in its header. Nothing in it is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import ArgumentError, FileFormatError
from sciml.storage import _digest, _write_whole, plain

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery

__all__ = ["load", "save"]

FORMAT, VERSION = "sciml.discovery", "1"
FILE_NAME = "discovery.safetensors"
_ARRAYS = ("states", "times", "data")
_PLAIN = ("standard_errors", "inclusion", "noise", "diagnostics", "method", "seed", "kind")


def save(law: Discovery, path: str | Path) -> Path:
    """Write a discovery to one file; the suffix `.safetensors` is added where it is missing.

    Raises
    ------
    ArgumentError
        the path cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    arrays: dict[str, np.ndarray] = {}
    for group in _ARRAYS:
        for k, array in enumerate(getattr(law, group)):
            arrays[f"{group}/{k}"] = np.array(array, dtype=np.float64, order="C")
    for name, values in law.history.items():
        arrays[f"history/{name}"] = np.array(values, dtype=np.float64)
    document = {key: plain(getattr(law, key)) for key in _PLAIN}
    document |= {
        "names": list(law.names),
        "equations": list(law.equations),
        "coefficients": plain(law.coefficients),
        "intervals": plain(law.intervals),
        "alternatives": [
            {"equations": list(a.equations), "weight": float(a.weight), "coefficients": plain(a.coefficients)}
            for a in law.alternatives
        ],
        "wall_time": float(law.wall_time),
        "history": list(law.history),
        "coordinates": list(law.coordinates),
        "control": list(law.control),
        "counts": {group: len(getattr(law, group)) for group in _ARRAYS},
    }
    text = json.dumps(document, ensure_ascii=False)
    metadata = {"format": FORMAT, "version": VERSION, "discovery": text, "sha256": _digest(text, arrays)}
    target = Path(path)
    if target.is_dir():
        target = target / FILE_NAME
    elif target.suffix != ".safetensors":
        target = target.with_name(target.name + ".safetensors")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(target, to_bytes(arrays, metadata))
    except OSError as error:
        raise ArgumentError(f"the discovery cannot be written to {target}: {error.strerror or error}") from None
    return target


def load(path: str | Path) -> Discovery:
    """Read a discovery; the values are those that were saved, bit for bit."""
    from sciml.sindy.discovery import Alternative, Discovery

    target = Path(path)
    if target.is_dir():
        target = target / FILE_NAME
    if not target.is_file() and target.with_name(target.name + ".safetensors").is_file():
        target = target.with_name(target.name + ".safetensors")
    if not target.is_file():
        raise FileFormatError(f"there is no discovery file {path}")
    document, arrays = _read(target)
    try:
        groups = {group: tuple(arrays[f"{group}/{k}"] for k in range(document["counts"][group])) for group in _ARRAYS}
        alternatives = tuple(
            Alternative(tuple(a["equations"]), a["weight"], a["coefficients"]) for a in document["alternatives"]
        )
        return Discovery(
            tuple(document["names"]),
            tuple(document["equations"]),
            _numbers(document["coefficients"]),
            standard_errors=_numbers(document["standard_errors"]),
            intervals={
                name: {term: (float(pair[0]), float(pair[1])) for term, pair in terms.items()}
                for name, terms in document["intervals"].items()
            },
            inclusion=_numbers(document["inclusion"]),
            alternatives=alternatives,
            noise=document["noise"],
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
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FileFormatError(
            f"{target} is a discovery file, but its contents do not fit this version of sciml "
            f"({type(error).__name__}: {error})"
        ) from error


def _numbers(entry: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {
        name: {t: float("nan") if v is None else float(v) for t, v in terms.items()} for name, terms in entry.items()
    }


def _read(target: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(target, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{target} is damaged, cut off, or not a safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise FileFormatError(f"{target} is no saved discovery; give a file written by Discovery.save")
    if metadata.get("version") != VERSION:
        raise FileFormatError(f"{target} has the format version {metadata.get('version')}, this sciml reads {VERSION}")
    text = metadata.get("discovery", "")
    if metadata.get("sha256") != _digest(text, arrays):
        raise FileFormatError(f"{target} is damaged: its contents do not match its checksum; copy the file once more")
    return json.loads(text), arrays
