"""The default executor: this process, or worker processes of this machine.

Each worker has cores of its own. A run that needs a GPU shares one with as many others as its memory holds
and gets it by CUDA_VISIBLE_DEVICES, in a process of its own that frees it at the end; runs that need several
GPUs get them whole. A worker that is killed loses no run: another goes on from the run's last checkpoint.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait

from banditrft.launch import machine
from banditrft.launch.jobs import POLL_S, RETRIES, Advance, Job, Result, Results, Work
from banditrft.launch.resources import (
    Need,
    Place,
    Room,
    fitted,
    give_back,
    largest_first,
    place,
    shared_cores,
    take,
)
from banditrft.launch.workers import Ended, Worker, attempt
from banditrft.parts import sweep_parts


@dataclass(frozen=True)
class Local:
    """Worker processes of this machine.

    Attributes:
        workers: Most at a time; all cores by default. One means this process.
    """

    workers: int | None = None

    def run(self, work: Work, jobs: Sequence[Job], advance: Advance) -> Results:
        """Run every job and yield each as it ends.

        Raises:
            InputError: A job needs more GPUs than this machine offers.
        """
        workers = min(self.workers or len(machine.cores()), len(jobs))
        if workers > 1:
            yield from _Crew(work, jobs, workers, advance).run()
        else:
            for job in jobs:
                yield job, attempt(work, job, partial(advance, job.label()))


@dataclass
class _Task:
    """A job on its way: what it needs here, and how often its worker was lost."""

    job: Job
    need: Need
    lost: int = 0


class _Crew:
    """Workers by slot, the tasks they are at, and those that wait."""

    def __init__(self, work: Work, jobs: Sequence[Job], workers: int, advance: Advance) -> None:
        self._work, self._advance = work, advance
        needs_gpus = any(job.need.gpus for job in jobs)
        memory = machine.free_memory()
        gpus = machine.own_gpus() if needs_gpus else ()
        self._room = Room(tuple(range(workers)), memory, memory, gpus)
        self._cores = shared_cores(machine.cores(), workers)
        tasks = [_Task(job, fitted(job.need, self._room)) for job in jobs]
        self._waiting = sorted(tasks, key=lambda task: largest_first(task.need))
        self._running: dict[int, tuple[_Task, Place]] = {}
        self._workers: dict[int, Worker] = {}

    def run(self) -> Results:
        try:
            while self._waiting or self._running:
                self._start()
                wait([self._workers[slot].connection for slot in self._running], timeout=POLL_S)
                for slot in list(self._running):
                    yield from self._hear(slot)
        finally:
            for slot in list(self._workers):
                self._workers.pop(slot).stop()
            sweep_parts(self._work.root)

    def _start(self) -> None:
        """Start every task that has a place, the first in line first."""
        for task in list(self._waiting):
            where = place(task.need, self._room)
            if where is None:
                continue
            self._waiting.remove(task)
            self._room = take(task.need, where, self._room)
            self._running[where.slot] = (task, where)
            if where.slot not in self._workers:
                self._workers[where.slot] = Worker(
                    self._work, self._cores[where.slot], self._variables(where)
                )
            self._workers[where.slot].submit(task.job)

    def _variables(self, where: Place) -> dict[str, str]:
        return machine.showing([self._room.gpus[g].name for g in where.gpus])

    def _hear(self, slot: int) -> Iterator[Result]:
        """What a worker says: a fraction done, or the end of its task."""
        task, _ = self._running[slot]
        for said in self._workers[slot].hear():
            if not isinstance(said, Ended):
                self._advance(task.job.label(), said)
                continue
            self._leave(slot, gone=said.code is not None)
            task.lost += said.killed
            if said.killed and task.lost <= RETRIES:
                self._waiting.insert(0, task)
            else:
                yield task.job, said.error

    def _leave(self, slot: int, *, gone: bool) -> None:
        task, where = self._running.pop(slot)
        self._room = give_back(task.need, where, self._room)
        if gone or where.gpus:  # a process keeps what it took of a GPU until it ends
            self._workers.pop(slot).stop()
