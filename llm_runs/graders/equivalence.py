"""math-verify at arm's length: worker processes that are reused, and killed when they take too long.

Parsing what a model wrote can take for ever or all memory (`10^{10^{10}}`), inside C code that no exception
reaches; so it happens in other processes. Workers are started as commands (nothing of this process is
inherited or imported again), when there is work for them, and again after `RETIRE` answers, for the grammar's
caches grow with everything they have seen. POSIX only. It stands alone since it knows processes and no rules.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from importlib.util import find_spec

from banditrft.errors import InputError

LIMIT_S = 5.0
START_S = 120.0
"""A worker that is not ready by then never will be."""

RETIRE = 5_000
TRIES = 3
"""So many workers in a row that die before they are ready are an error."""

COMMAND = (sys.executable, "-P", "-m", "llm_runs.graders.worker")


class _Worker:
    """One process. It is starting, idle or busy with one job; `deadline` is when patience ends."""

    def __init__(self, limit_s: float) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [*COMMAND, str(limit_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
            start_new_session=True,
        )
        self.ready = False
        self.job: int | None = None
        self.deadline = time.monotonic() + START_S
        self.answered = 0

    @property
    def idle(self) -> bool:
        """Ready and without a job."""
        return self.ready and self.job is None

    @property
    def gone(self) -> bool:
        """Ended by itself or by others."""
        return self.process.poll() is not None

    def ask(self, job: int, pair: tuple[str, str], limit_s: float) -> None:
        """Send a job; it fits into the pipe of an idle worker, so this never waits."""
        self.job, self.deadline = job, time.monotonic() + limit_s
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died just now: the reading side will see
            self.process.stdin.write(json.dumps(pair).encode() + b"\n")

    def reply(self) -> bytes:
        """The next byte: `R`, `1`, `0`, or nothing at all if it is dead."""
        assert self.process.stdout is not None
        return os.read(self.process.stdout.fileno(), 1)

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def _kill_all(workers: list[_Worker], owner: int) -> None:
    if os.getpid() == owner:  # a forked child must leave its parent's workers alone
        for worker in workers:
            worker.kill()
    workers.clear()


class Equivalence:
    """A pool of workers that decide whether expressions are mathematically equal.

    Args:
        limit_s: Wall-clock time for one pair, seconds; then its worker is killed.
        workers: Processes at most [default: the cores this process may use].

    Raises:
        InputError: A setting is out of range, or math-verify is not installed.
    """

    def __init__(self, limit_s: float = LIMIT_S, workers: int | None = None) -> None:
        if not 0 < limit_s < float("inf"):
            raise InputError(f"timeout_s: must be positive and finite, got {limit_s}")
        if workers is not None and workers < 1:
            raise InputError(f"workers: must be at least 1, got {workers}")
        if find_spec("math_verify") is None:
            raise InputError("math-verify: is not installed; pip install 'banditrft[llm]'")
        self._limit_s = limit_s
        self._size = workers or len(os.sched_getaffinity(0))
        self._workers: list[_Worker] = []
        self._owner = os.getpid()
        self._stillborn = 0  # workers that died before they were ready, since one was
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _kill_all, self._workers, self._owner)

    def equal(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """Decide pairs of answer and candidate, in parallel.

        Args:
            pairs: LaTeX texts, (N,), each of bounded length.

        Returns:
            (N,) in the order of the pairs: equal or not; None where the worker was killed or died.

        Raises:
            ChildProcessError: Workers do not start.
        """
        decisions: list[bool | None] = [None] * len(pairs)
        waiting = deque(enumerate(pairs))
        with self._lock:
            self._after_fork()
            self._stillborn = 0
            try:
                while waiting or any(worker.job is not None for worker in self._workers):
                    self._assign(waiting)
                    self._collect(decisions)
            finally:
                self._dismiss([w for w in self._workers if w.job is not None])  # after an interruption
        return decisions

    def close(self) -> None:
        """Kill the workers; the next call starts new ones."""
        with self._lock:
            _kill_all(self._workers, self._owner)

    def _after_fork(self) -> None:
        if os.getpid() != self._owner:
            self._owner, self._workers = os.getpid(), []
            self._finalizer = weakref.finalize(self, _kill_all, self._workers, self._owner)

    def _dismiss(self, workers: list[_Worker]) -> None:
        for worker in workers:
            self._workers.remove(worker)
            worker.kill()

    def _assign(self, waiting: deque[tuple[int, tuple[str, str]]]) -> None:
        """Give work to the idle and start as many more as could be of use."""
        self._dismiss([w for w in self._workers if w.idle and (w.gone or w.answered >= RETIRE)])
        for worker in self._workers:
            if waiting and worker.idle:
                worker.ask(*waiting.popleft(), self._limit_s)
        starting = sum(not worker.ready for worker in self._workers)
        for _ in range(min(len(waiting) - starting, self._size - len(self._workers))):
            self._workers.append(_Worker(self._limit_s))

    def _collect(self, decisions: list[bool | None]) -> None:
        """Wait for a reply or a deadline, note decisions, and dismiss the dead and the late."""
        pending = [worker for worker in self._workers if not worker.idle]
        patience = min(worker.deadline for worker in pending) - time.monotonic()
        with selectors.DefaultSelector() as selector:
            for worker in pending:
                assert worker.process.stdout is not None
                selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            replying = {key.data for key, _ in selector.select(max(patience, 0.0))}
        for worker in pending:
            reply = worker.reply() if worker in replying else None
            if reply:
                self._note(worker, reply, decisions)
            elif reply is not None or time.monotonic() >= worker.deadline:
                self._dismiss([worker])
                self._stillborn += not worker.ready
                if self._stillborn == TRIES:
                    raise ChildProcessError(
                        f"math-verify: no worker starts; `{' '.join(COMMAND)} 5` says why"
                    )

    def _note(self, worker: _Worker, reply: bytes, decisions: list[bool | None]) -> None:
        if worker.job is None:
            worker.ready, self._stillborn = True, 0
            return
        decisions[worker.job] = reply == b"1"
        worker.job = None
        worker.answered += 1
