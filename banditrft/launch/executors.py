"""What an executor is, and choosing one by name."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from banditrft.errors import InputError
from banditrft.launch.jobs import Job, Work

Advance = Callable[[str, float], None]
"""Takes a job's label and the fraction done of it, in [0, 1]."""
Result = tuple[Job, str | None]
"""A finished job and its error, if it failed."""
Results = Generator[Result, None, None]
"""Closing it stops what still runs."""
EXECUTORS = ("local", "ray")
RETRIES = 3
"""How often a job whose worker was lost is given to another."""
POLL_S = 0.2
"""Seconds between two looks at the workers' progress."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Executor(Protocol):
    """Decides where jobs run."""

    def run(self, work: Work, jobs: Sequence[Job], advance: Advance) -> Results:
        """Run every job and yield each as it ends, in any order.

        Ctrl-C, or a consumer that closes the generator, stops what is running and leaves whole records only.
        """
        ...


def choose_executor(name: str, workers: int | None = None, address: str | None = None) -> Executor:
    """An executor by its name.

    Args:
        name: "local" or "ray".
        workers: Most jobs at a time; all cores of the machine (all CPUs of the cluster) by default.
        address: Ray cluster to join, as ``ray.init`` takes it; for "ray" only.

    Raises:
        InputError: There is no such executor, or an address was given to one that has none.
    """
    if name not in EXECUTORS:
        raise InputError(f"executor: must be one of {', '.join(EXECUTORS)}, got {name}")
    if name == "ray":
        from banditrft.launch.cluster import Ray

        return Ray(address, workers)
    if address is not None:
        raise InputError(f"ray-address: needs executor ray, got {address} with executor {name}")
    from banditrft.launch.local import Local

    return Local(workers)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, which processes started meanwhile inherit."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def single_threaded() -> dict[str, str]:
    """Workers fill the cores; a library's own threads would only fight over them (and change bits)."""
    return dict.fromkeys(THREAD_VARIABLES, "1")
