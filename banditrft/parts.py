"""Half-written files and folders: what they are called, and how those of dead processes are swept away.

A part lies beside what it will be renamed to, under a hidden name with its writer's process id and the place
where that id means something: a boot of a host and a PID namespace of it. So processes of several machines or
containers may share a folder, on a network file system too, without sweeping away one another's work. Of a
part from elsewhere nobody here can know whether its writer lives (locks are not to be relied on there), but
parts are written in one go: one that has not changed for a day is abandoned.
"""

import os
import platform
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ABANDONED_S = 86_400.0
"""Seconds after which an unchanged part from elsewhere is taken for abandoned."""


def _place() -> str:
    """Name of this boot of this host and of this process's PID namespace, 8 hex digits."""
    known = platform.node()
    with suppress(OSError):  # only Linux has them
        known += Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    with suppress(OSError):
        known += str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(known.encode()):08x}"


HERE = _place()


def part_of(path: Path) -> Path:
    """Temporary name for a file or folder that this process is writing."""
    return path.with_name(f".{path.name}.{HERE}.{os.getpid()}.part")


def parts(root: Path) -> Iterator[Path]:
    """Parts in a study's folder and in the folders in it."""
    for path in entries(root):
        if _is_part(path):
            yield path
        elif not path.is_symlink() and path.is_dir():
            yield from (inner for inner in entries(path) if _is_part(inner))


def sweep_parts(root: Path) -> None:
    """Remove what is abandoned in a study's folder; others may be writing there, or sweeping, meanwhile."""
    for part in parts(root):
        place, owner = _owner(part)
        abandoned = not _alive(owner) if place == HERE else time.time() - _changed(part) > ABANDONED_S
        if abandoned:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where another process has just removed it."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_part(path: Path) -> bool:
    pieces = path.name.split(".")
    return pieces[0] == "" and pieces[-1] == "part" and len(pieces) >= 5 and pieces[-2].isdecimal()


def _owner(part: Path) -> tuple[str, int]:
    """Place and process id of a part's writer."""
    *_, place, owner, _ = part.name.split(".")
    return place, int(owner)


def _changed(part: Path) -> float:
    """When a part or anything in it was last changed, seconds since the epoch; now where it is gone."""
    try:
        inner = entries(part) if part.is_dir() else []
        return max([part.stat().st_mtime, *map(_changed, inner)])
    except FileNotFoundError:
        return time.time()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
