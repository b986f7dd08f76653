"""Safetensors files of a folder: which they are, what their headers say, and their hash. No torch here."""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from pathlib import Path

from banditrft.errors import InputError
from banditrft.files import sha256_of

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
HEADER_MAX = 100_000_000
"""Longest header of a safetensors file, bytes: the format's own limit."""


def files_of(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a folder, as transformers chooses them, in order of name.

    Raises:
        InputError: there are none, only pickled weights, or an index names files that are not there.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    index = folder / INDEX
    if not index.is_file():
        if any(next(folder.glob(pattern), None) for pattern in PICKLED):
            raise InputError(
                f"model: {folder} holds pickled weights, which are not loaded; convert them to safetensors"
            )
        raise InputError(f"model: {folder} holds neither {WEIGHTS} nor {INDEX}")
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index}: not an index of safetensors files ({error})") from None
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors") or not (folder / name).is_file():
            raise InputError(f"{index}: names {name!r}, which is no safetensors file of this folder")
    return tuple(folder / name for name in names)


def complete(folder: Path) -> bool:
    """Whether all safetensors files of a folder are there."""
    try:
        return bool(files_of(folder))
    except InputError:
        return False


def shapes_of(path: Path) -> dict[str, list[int]]:
    """Shapes of the tensors in a safetensors file, by name, from its header.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(HEADER_MAX, path.stat().st_size):
                raise ValueError(f"header of {length} bytes")
            header = json.loads(file.read(length))
        return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from None


def hash_of(path: Path) -> str:
    """Hex digest of a file; read again only when its size or time of change differ."""
    found = path.stat()
    return _digest(path.resolve(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed_ns: int) -> str:
    return sha256_of(path)
