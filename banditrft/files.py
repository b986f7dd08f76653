"""Files that appear whole or not at all: temporary name, fsync, rename; and JSON read strictly."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from banditrft.errors import RecordError
from banditrft.parts import part_of


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: temporary name, fsync, rename."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: temporary name, fsync, rename."""
    temporary = part_of(path)
    temporary.write_bytes(content)
    commit(temporary, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RecordError: Missing, unreadable or no object; names the file.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"{path}: is missing") from None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON ({type(error).__name__}: {error})") from None
    if not isinstance(value, dict):
        raise RecordError(f"{path}: must hold a JSON object, got {type(value).__name__}")
    return value


def sha256_of(path: Path) -> str:
    """sha256 of a file's content, hex; raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def commit(temporary: Path, path: Path) -> None:
    """Make a finished temporary file durable and give it its name."""
    with temporary.open("rb") as handle:
        os.fsync(handle.fileno())
    temporary.rename(path)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
