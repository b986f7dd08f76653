"""Files that appear whole or not at all (temporary name, fsync, rename), and JSON read strictly.

A *sealed* JSON file ends with the sha256 of the rest of its text, so that no changed character of it is read.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from banditrft.errors import RecordError
from banditrft.parts import part_of


def sha256(content: bytes) -> str:
    """sha256 of some bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: temporary name, fsync, rename."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, not empty, atomically, with its sha256 as a last field, for `read_sealed`."""
    body = json.dumps(value, indent=1, allow_nan=False)
    write_bytes(path, body[:-2].encode() + _seal(body.encode()))


def _seal(body: bytes) -> bytes:
    """What stands in place of an object's closing brace and seals it."""
    return f',\n "sha256": "{sha256(body)}"\n}}\n'.encode()


SEAL_BYTES = len(_seal(b""))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: temporary name, fsync, rename."""
    temporary = part_of(path)
    try:
        temporary.write_bytes(content)
        commit(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RecordError: Missing, unreadable or no object; names the file.
    """
    return _object(path, _content(path))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON object that `write_sealed` wrote.

    Raises:
        RecordError: As `read_json`, or the text is not the one that was written; names the file.
    """
    content = _content(path)
    value = _object(path, content)
    if "sha256" not in value:
        raise RecordError(
            f"{path}: states no sha256 of its content: an earlier version wrote it, or it was edited; "
            "delete it with what it describes, and run the study again"
        )
    if content[-SEAL_BYTES:] != _seal(content[:-SEAL_BYTES] + b"\n}"):
        raise RecordError(
            f"{path}: is damaged or was edited: its content is not that of its sha256 {value['sha256']!r}"
        )
    del value["sha256"]
    return value


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RecordError(f"{path}: is missing") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read as JSON ({type(error).__name__}: {error})") from None


def _object(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
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
