"""The default executor: this process, or worker processes of this machine."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from banditrft.launch.executors import POLL_S, Advance, Results, environment, single_threaded
from banditrft.launch.jobs import Job, Work
from banditrft.parts import sweep_parts

_reports: Any = None


@dataclass(frozen=True)
class Local:
    """Worker processes of this machine.

    Attributes:
        workers: How many; all cores by default. One means this process.
    """

    workers: int | None = None

    def run(self, work: Work, jobs: Sequence[Job], advance: Advance) -> Results:
        """Run every job and yield each as it ends."""
        workers = min(self.workers or len(os.sched_getaffinity(0)), len(jobs))
        if workers > 1:
            yield from _pooled(work, jobs, workers, advance)
        else:
            for job in jobs:
                yield job, work.attempt(job, partial(advance, job.label()))


def _pooled(work: Work, jobs: Sequence[Job], workers: int, advance: Advance) -> Results:
    context = multiprocessing.get_context("spawn")
    reports = context.SimpleQueue()
    with environment(single_threaded()):
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(reports,)
        )
        pending: dict[Future[str | None], Job] = {pool.submit(_in_worker, work, job): job for job in jobs}
        try:
            while pending:
                done, _ = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
                while not reports.empty():
                    advance(*reports.get())
                for future in done:
                    job = pending.pop(future)
                    error = future.exception()
                    yield job, f"{type(error).__name__}: {error}" if error else future.result()
        except BaseException:
            processes = list(getattr(pool, "_processes", {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
            sweep_parts(work.root)
            raise
        pool.shutdown()


def _start_worker(reports: Any) -> None:
    global _reports  # noqa: PLW0603 - the only way to hand a queue to a pool's workers
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_worker(work: Work, job: Job) -> str | None:
    label = job.label()
    return work.attempt(job, lambda done: _reports.put((label, done)))
