"""Checkpoint files: named tensors in safetensors, JSON in its header; nothing is ever executed on reading."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sciml.errors import FileFormatError

__all__ = ["read", "write"]

_FORMAT = "sciml checkpoint 1"


def write(path: str | Path, parts: Mapping[str, Mapping[str, Tensor]], numbers: Mapping[str, Any]) -> None:
    """Write groups of tensors and JSON-able numbers; an interrupted write leaves an earlier file as it was."""
    path = Path(path)
    # Each tensor gets its own contiguous memory on the CPU, which is what the format stores.
    flat = {
        f"{part}/{key}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for part, tensors in parts.items()
        for key, tensor in tensors.items()
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(flat, temporary, metadata={"format": _FORMAT, "numbers": json.dumps(dict(numbers))})
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def read(path: str | Path, like: Tensor) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return what `write` wrote, floating tensors on the device of `like`.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or not a checkpoint.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise FileFormatError(f"{path}: not a training checkpoint of this version ({_FORMAT!r})")
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                part, key = name.split("/", 1)
                # A clone has torch's alignment: sums over tensors in the file's memory may differ in the last bit.
                tensor = file.get_tensor(name).clone()
                if part != "history" and tensor.is_floating_point():
                    tensor = tensor.to(like.device)
                parts.setdefault(part, {})[key] = tensor
        return parts, json.loads(metadata["numbers"])
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path}: cannot be read as a training checkpoint ({error})") from None
