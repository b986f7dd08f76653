"""What this machine has: cores, free memory, GPUs. Found without loading torch, which would claim a GPU."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from banditrft.launch.resources import Gpu

MIB = 2**20
QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits")
CGROUP = Path("/sys/fs/cgroup")


def cores() -> list[int]:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(to: tuple[int, ...]) -> None:
    """Keep this process on some cores, where the system knows such a thing."""
    if to and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, to)


def free_memory() -> int:
    """Main memory that processes may still take, bytes: the system's or the control group's, the smaller."""
    amounts = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        amounts += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        most, held = ((CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        amounts += [int(most) - int(held)] if most != "max" else []
    except (OSError, ValueError):
        pass
    return min(amounts) if amounts else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gpus(visible: str | None) -> tuple[Gpu, ...]:
    """GPUs with the memory that is free on each, of those that `visible` names; none without nvidia-smi."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(done.stdout, visible)


def parse_gpus(listed: str, visible: str | None) -> tuple[Gpu, ...]:
    """GPUs of nvidia-smi's list, of those that CUDA_VISIBLE_DEVICES names, in its order.

    Args:
        listed: Lines of index, uuid and free memory in MiB.
        visible: Indices or uuids; None names all. As CUDA does, the list ends at a negative index. What
            nvidia-smi does not list (a slice of a GPU) is used with its memory unknown.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines() if line.strip()]
    free = {name: int(memory) * MIB for index, uuid, memory in rows for name in (index, uuid)}
    names = [row[0] for row in rows]
    if visible is not None:
        names = []
        for name in filter(None, (part.strip() for part in visible.split(","))):
            if name.startswith("-"):
                break
            names.append(name)
    return tuple(Gpu(name, free.get(name, 0), free.get(name, 0)) for name in names)


def own_gpus() -> tuple[Gpu, ...]:
    """GPUs that this process may use."""
    return gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))


def showing(names: Sequence[str]) -> dict[str, str]:
    """Variables that show a process these GPUs and no other; numbers count as nvidia-smi counts."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(names), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
