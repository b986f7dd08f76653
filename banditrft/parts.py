"""Half-written files and folders: what they are called, and how those of dead processes are swept away.

A part lies beside what it will be renamed to, under a hidden name with its writer's host and process id, so
that shards on several machines may share a folder without sweeping away one another's work.
"""

import os
import platform
import shutil
import zlib
from pathlib import Path

HOST = f"{zlib.crc32(platform.node().encode()):08x}"


def part_of(path: Path) -> Path:
    """Temporary name for a file or folder that this process is writing."""
    return path.with_name(f".{path.name}.{HOST}.{os.getpid()}.part")


def sweep_parts(root: Path) -> None:
    """Remove what processes of this host that are gone left half-written in a study's folder."""
    for pattern in (".*.part", "*/.*.part"):
        for part in root.glob(pattern):
            host, owner = part.name.split(".")[-3:-1]
            if host == HOST and owner.isdecimal() and not _alive(int(owner)):
                if part.is_dir():
                    shutil.rmtree(part, ignore_errors=True)
                else:
                    part.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
