"""A worker: a process that executes jobs one after another at its place on this machine.

Every worker has a pipe of its own, so one that is killed in mid-sentence blocks no other. It ends when the
process that started it ends, however that comes about; otherwise it would go on writing to a run that
somebody else has taken up.

A job of several ranks is computed by as many processes together: each finds in its environment what torchrun
would have put there (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, ...), and only the first records.
"""

import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import ModuleType

from banditrft.launch.jobs import POLL_S, RANK, Fatal, Job, Report, Work, environment, single_threaded
from banditrft.launch.machine import pin

GRACE_S = 10.0
"""Seconds that a worker gets to end when it is told to."""
SETTLE_S = 1.0
"""Seconds after which the rank that failed first of all must have said so."""


@dataclass(frozen=True)
class Ended:
    """A worker is done with a job.

    Attributes:
        error: Why it failed; None when all went well.
        code: The worker's exit code if it has ended; negative if by a signal, which says nothing against
            the job.
    """

    error: str | None = None
    code: int | None = None

    @property
    def killed(self) -> bool:
        """Whether the worker was ended by a signal."""
        return self.code is not None and self.code < 0


class Worker:
    """A started worker.

    Attributes:
        connection: Readable when there is something to hear.
    """

    def __init__(
        self, work: Work, cores: tuple[int, ...] = (), variables: Mapping[str, str] | None = None
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        with environment({**single_threaded(), **(variables or {})}), _without_script(work), _uninterrupted():
            self._process = context.Process(target=_serve, args=(theirs, work, cores))
            self._process.start()
        theirs.close()

    def submit(self, job: Job) -> None:
        """Have it execute a job."""
        try:
            self.connection.send(job)
        except OSError:
            return  # it is dead, which `hear` will say

    def hear(self) -> list[float | Ended]:
        """What it said since it was last heard: fractions done of its job, and the end of it."""
        alive, heard = self._process.is_alive(), list[float | Ended]()
        try:
            while self.connection.poll():
                heard.append(self.connection.recv())
        except (EOFError, OSError):
            self._process.join()
            alive = False
        if not alive and not any(isinstance(said, Ended) for said in heard):
            heard.append(self._lost())
        return heard

    def _lost(self) -> Ended:
        code = self._process.exitcode or 0
        if code < 0:
            return Ended(f"its worker was killed by {signal.Signals(-code).name}", code)
        return Ended(f"its worker ended with exit code {code}", code)

    def dismiss(self) -> None:
        """Let it end by itself, since there is nothing more to do, and wait until it has."""
        self.connection.close()
        self._process.join(GRACE_S)

    def stop(self) -> None:
        """End it, whatever it is doing, and wait until it is gone."""
        self.connection.close()
        self._process.terminate()
        self._process.join(GRACE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Have new processes inherit that Ctrl-C is held back, so that none is interrupted while it imports.

    One that comes meanwhile reaches this process afterwards.
    """
    resource_tracker.ensure_running()  # started on demand, it would end the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_script(work: Work) -> Iterator[None]:
    """Keep new processes from running the caller's script again: it need not guard its main part.

    A world whose function stands in the script itself needs it there.
    """
    script = sys.modules["__main__"]
    world = work.execute.func if isinstance(work.execute, partial) else work.execute
    if getattr(world, "__module__", None) != "__main__":
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _serve(parent: Connection, work: Work, cores: tuple[int, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # what this process starts may want it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pin(cores)
    while True:
        try:
            job = parent.recv()
        except EOFError:
            return
        parent.send(Ended(attempt(work, job, parent.send)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def attempt(work: Work, job: Job, report: Report) -> str | None:
    """Execute and record a job in this process, or in as many as it has ranks; the error as one line."""
    if job.need.ranks > 1 and RANK not in os.environ:
        return _together(work, job, report)
    return work.attempt(job, report)


def torchrun(rank: int, ranks: int, port: int) -> dict[str, str]:
    """The variables by which torchrun tells a process its place among others of this machine."""
    here = {RANK: rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
    return {name: str(value) for name, value in here.items()} | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _together(work: Work, job: Job, report: Report) -> str | None:
    port = _free_port()
    ranks: list[Worker] = []
    try:
        for rank in range(job.need.ranks):
            ranks.append(Worker(work, variables=torchrun(rank, job.need.ranks, port)))
            ranks[rank].submit(job)
        error = _first_error(ranks, report)
        if error is None:
            for worker in ranks:
                worker.dismiss()
        return error
    finally:
        for worker in ranks:
            worker.stop()


def _first_error(ranks: list[Worker], report: Report) -> str | None:
    """Wait for all ranks, or until one has failed: the others would wait for it for ever.

    A rank may fail since another one is gone, and say so before the other's end is seen. So all are heard for
    a little longer, and of several errors the one of a rank that was killed counts, or that of the lowest.
    """
    left, failed = dict(enumerate(ranks)), dict[int, Ended]()
    until = math.inf
    while left and time.monotonic() < until:
        wait([worker.connection for worker in left.values()], timeout=POLL_S)
        for rank, worker in list(left.items()):
            for said in worker.hear():
                if isinstance(said, Ended):
                    del left[rank]
                    if said.error:
                        failed[rank] = said
                elif rank == 0:
                    report(said)
        if failed:
            until = min(until, time.monotonic() + SETTLE_S)
    if not failed:
        return None
    rank = min(failed, key=lambda rank: (not failed[rank].killed, rank))
    error = failed[rank].error
    named = f"rank {rank}: {error}"
    return Fatal(named) if isinstance(error, Fatal) else named


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
