"""A job of a world whose learner is sharded: as many processes as `shards` compute it together.

The processes are started as torchrun would start them (`banditrft.launch.workers`). Rank 0 runs the loop as
it is, samples, grades, keeps states and records; the others hold their shards of the learner and `follow`.

Tested on CPU ranks with gloo only: never run on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import LLMWorld
from llm_runs.backends import device_of, fitted, sharded_learner, single_thread


@contextmanager
def joined(world: LLMWorld) -> Iterator[int]:
    """Be one of the processes that compute a job of a world.

    Yields:
        This process's rank; 0 where the learner is not sharded and no other process takes part.

    Raises:
        InputError: The learner is sharded and this process was not started as one of its ranks, there are
            more or fewer of them than shards, or too few GPUs.
    """
    if world.shards == 1:
        yield 0
        return
    from torch import distributed

    from llm_runs.learners.sharded import join_ranks

    device_of(world)
    ranks = int(os.environ.get("WORLD_SIZE", world.shards))
    if ranks != world.shards:
        raise InputError(f"shards: must be the number of ranks, {ranks}, got {world.shards}")
    rank, _ = join_ranks(world.device)
    yield rank
    distributed.destroy_process_group()  # not after an error: the other ranks may be anywhere


def follow(world: LLMWorld, design: Design) -> None:
    """Take part, as a rank other than the first, for as long as that one has a backend of the design open."""
    model, limits = fitted(world)[1::2]
    with single_thread(world):
        sharded_learner(world, model, design, limits).follow()
