"""What a job needs, what a machine has, and where a job goes: pure functions, no process is started here.

The room that makes the jobs knows what they need (`Need`), an executor knows what is free (`Room`), and
`place` finds the place of one job. Memory is in bytes throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from banditrft.errors import InputError


@dataclass(frozen=True)
class Need:
    """What one job holds while it runs.

    Attributes:
        cpus: CPUs that a task of a cluster reserves; a local worker has its share of the machine's cores.
        memory: Main memory; 0 is little and unknown.
        gpus: GPUs; more than one are held whole.
        gpu_memory: Memory on each GPU; with `gpu_share` 0 too, GPUs are held whole.
        gpu_share: Share of each GPU's memory that is held besides, in [0, 1].
        fallback: What the job holds where there are no GPUs; None where it cannot do without.
        ranks: Processes that compute the job together, started as torchrun starts them.
    """

    cpus: int = 1
    memory: int = 0
    gpus: int = 0
    gpu_memory: int = 0
    gpu_share: float = 0.0
    fallback: "Need | None" = None
    ranks: int = 1

    def on(self, gpu: int) -> int:
        """Memory that is held of a GPU of `gpu` bytes: at most all of it, and all where nothing is known."""
        held = self.gpu_memory + int(self.gpu_share * gpu)
        return gpu if self.gpus > 1 or not held else min(held, gpu)


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: What CUDA_VISIBLE_DEVICES calls it.
        memory: What may be held of it; 0 is unknown, and then one job has it whole.
        free: What is not held now.
        jobs: How many hold some of it.
    """

    name: str
    memory: int
    free: int
    jobs: int = 0


@dataclass(frozen=True)
class Room:
    """What a machine has and what of it is free.

    Attributes:
        slots: Free workers, by number.
        memory: Main memory that may be held.
        free: Main memory that is not held now.
        gpus: Its GPUs.
    """

    slots: tuple[int, ...]
    memory: int
    free: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a job runs: a worker, and GPUs by their index in the room."""

    slot: int
    gpus: tuple[int, ...] = ()


def fitted(need: Need, room: Room) -> Need:
    """The need of a job on this machine: without GPUs where it has a choice and there are none.

    A job that is estimated to need more memory than there is gets all of it, since an estimate is no proof.

    Raises:
        InputError: The machine has fewer GPUs than the job must have.
    """
    if need.gpus > len(room.gpus):
        if need.fallback is None or room.gpus:
            raise InputError(f"GPUs: a run needs {need.gpus}, this machine offers {len(room.gpus)}")
        need = need.fallback
    return replace(need, memory=min(need.memory, room.memory))


def place(need: Need, room: Room) -> Place | None:
    """A place for a job, or None while there is none.

    A part of a GPU is taken of the emptiest one, so that runs spread before they share; whole GPUs must be
    idle. Ties go to the lowest number.
    """
    if not room.slots or need.memory > room.free:
        return None
    slot = min(room.slots)
    if need.gpus == 0:
        return Place(slot)
    able = [g for g, gpu in enumerate(room.gpus) if _holds(need, gpu)]
    able.sort(key=lambda g: (-room.gpus[g].free, room.gpus[g].jobs, g))
    return Place(slot, tuple(sorted(able[: need.gpus]))) if len(able) >= need.gpus else None


def _holds(need: Need, gpu: Gpu) -> bool:
    whole = need.on(gpu.memory) == gpu.memory
    return gpu.jobs == 0 if whole else need.on(gpu.memory) <= gpu.free


def take(need: Need, where: Place, room: Room) -> Room:
    """The room once a job is at its place."""
    slots = tuple(slot for slot in room.slots if slot != where.slot)
    return replace(room, slots=slots, free=room.free - need.memory, gpus=_held(need, where, room.gpus, 1))


def give_back(need: Need, where: Place, room: Room) -> Room:
    """The room once a job has left its place."""
    slots = tuple(sorted((*room.slots, where.slot)))
    return replace(room, slots=slots, free=room.free + need.memory, gpus=_held(need, where, room.gpus, -1))


def _held(need: Need, where: Place, gpus: Sequence[Gpu], sign: int) -> tuple[Gpu, ...]:
    return tuple(
        replace(gpu, free=gpu.free - sign * need.on(gpu.memory), jobs=gpu.jobs + sign)
        if g in where.gpus
        else gpu
        for g, gpu in enumerate(gpus)
    )


def largest_first(need: Need) -> tuple[int, float, int, int]:
    """Sorting key: jobs that need much of a machine start before those that fit anywhere."""
    return (-need.gpus, -need.gpu_share, -need.gpu_memory, -need.memory)


def shared_cores(cores: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """Cores of each worker: disjoint even shares; where workers outnumber cores, they take turns."""
    ends = [w * len(cores) // workers for w in range(workers + 1)]
    if workers > len(cores):
        return [(cores[w % len(cores)],) for w in range(workers)]
    return [tuple(cores[start:end]) for start, end in pairwise(ends)]
