"""Files of results: arrays in one safetensors file, with everything else as JSON in its header.

Nothing in such a file is ever executed, a digest over everything makes damage visible, and a file appears whole or not
at all. What the JSON and the arrays mean is said by those who write them: `sciml.storage`, `sciml.fit_storage`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from sciml.errors import ArgumentError, FileFormatError, closest

__all__ = ["Container", "digest", "join_complex", "split_complex"]


@final
@dataclass(frozen=True)
class Container:
    """A kind of file.

    Attributes
    ----------
    name : what it holds, for messages: "solution".
    version : of the format; others are refused.
    writer : who writes it, for messages: "Solution.save".
    advice : how its contents are made anew: "solve the problem again".
    """

    name: str
    version: int
    writer: str
    advice: str

    @property
    def file_name(self) -> str:
        """The name of the file in a directory of its own."""
        return f"{self.name}.safetensors"

    def write(self, path: str | Path, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Path:
        """Write a document and arrays to one file.

        Parameters
        ----------
        path : a file (the suffix `.safetensors` is added where it is missing), or an existing directory, which then
            gets a file of the usual name. Missing parent directories are made.
        document : JSON-able.
        arrays : by name, of any shape and real type.

        Raises
        ------
        ArgumentError : the path cannot be written.
        """
        from safetensors.numpy import save as to_bytes

        text = json.dumps(document, ensure_ascii=False)
        plain = {name: np.array(array, order="C") for name, array in arrays.items()}
        metadata = {
            "format": f"sciml.{self.name}",
            "version": str(self.version),
            self.name: text,
            "sha256": digest(text, plain),
        }
        target = self._target(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(target, to_bytes(plain, metadata))
        except OSError as error:
            raise ArgumentError(f"the {self.name} cannot be written to {target}: {error.strerror or error}") from None
        return target

    def read(self, target: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the document and the arrays of a file.

        Raises
        ------
        FileFormatError : the file is damaged, cut off, of another kind or version.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(target, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"{target} is damaged, cut off, or not a safetensors file ({error}); "
                f"save the {self.name} again or copy the file once more"
            ) from None
        if metadata.get("format") != f"sciml.{self.name}":
            raise FileFormatError(
                f"{target} is a safetensors file, but not a saved {self.name}; give a file written by {self.writer}"
            )
        if metadata.get("version") != str(self.version):
            raise FileFormatError(
                f"{target} has the format version {metadata.get('version')}, this sciml reads version {self.version}; "
                f"use a newer sciml or {self.advice}"
            )
        text = metadata.get(self.name, "")
        if metadata.get("sha256") != digest(text, arrays):
            raise FileFormatError(
                f"{target} is damaged: its contents do not match its checksum; copy the file once more"
            )
        return json.loads(text), arrays

    def existing(self, path: str | Path) -> Path:
        """Return the file that a path stands for: itself, with the suffix, or of the usual name in a directory."""
        given = Path(path)
        for target in (given, given / self.file_name, given.with_name(given.name + ".safetensors")):
            if target.is_file():
                return target
        known = [entry.name for entry in given.parent.glob("*")] if given.parent.is_dir() else []
        raise FileFormatError(f"there is no {self.name} file {given}{closest(given.name, known)}")

    def _target(self, path: str | Path) -> Path:
        target = Path(path)
        if target.is_dir():
            return target / self.file_name
        return target if target.suffix == ".safetensors" else target.with_name(target.name + ".safetensors")


def digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the checksum over a document and arrays with their names, types and shapes."""
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(np.array(array, order="C").tobytes())
    return found.hexdigest()


def split_complex(arrays: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return real arrays, complex ones with a last axis for their two parts, and the names of those."""
    found, names = {}, []
    for name, value in arrays.items():
        array = np.array(value, order="C")
        if array.dtype.kind == "c":
            names.append(name)
            array = np.stack([np.real(array), np.imag(array)], axis=-1)
        found[name] = array
    return found, names


def join_complex(arrays: Mapping[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Return the arrays before `split_complex`."""
    return {**arrays, **{name: arrays[name][..., 0] + 1j * arrays[name][..., 1] for name in names}}


def _write_whole(target: Path, content: bytes) -> None:
    """Write under a temporary name first: an interrupted save leaves the old file as it was."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
