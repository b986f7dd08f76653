"""Pass@1 by sampling: how often each item is answered rightly, for a stack of replicas.

The same address of a random stream always gives the same sample, so evaluations are paired across
conditions and do not depend on what is stacked. Rows are cut into chunks of `ROWS` per replica, a constant,
so that memory does not depend on the number of samples asked for. A chunk of 3 rows or fewer rounds
log-probabilities differently in the last bits. Nothing is learned here.

Axes: S replicas, Q items of a replica, G samples of an item, P prompt tokens, T response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from banditrft.streams import Purpose, uniforms
from llm_runs.engines.stacked import Samples, sample
from llm_runs.graders.arithmetic import grade
from llm_runs.graders.base import Grade
from llm_runs.network.architecture import Architecture
from llm_runs.network.stacked import Weights
from llm_runs.tasks import Item, Task

ROWS = 64
"""Rows of a replica sampled at once."""


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch on one thread: the fastest way at this size, and the one whose bits are promised."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Address:
    """Which random numbers: root seed, seed of each replica (S), purpose and round."""

    root_seed: int
    seeds: Sequence[int]
    purpose: Purpose
    round: int = 0


@dataclass(frozen=True)
class Graded:
    """Samples of some items with their grades.

    Attributes:
        samples: What was drawn.
        texts: Decoded responses, nested [S][Q][G].
        strict_SQG: Right under strict grading.
        lenient_SQG: Right under lenient grading.
    """

    samples: Samples
    texts: list[list[list[str]]]
    strict_SQG: NDArray[np.bool_]
    lenient_SQG: NDArray[np.bool_]


def prompt_tensors(task: Task, prompts: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts [S][Q] as left-padded tokens (S, Q, P) and their numbers of pads (S, Q)."""
    both = [task.vocabulary.left_padded(row, task.prompt_max) for row in prompts]
    return torch.tensor([rows for rows, _ in both]), torch.tensor([pads for _, pads in both])


def draw_samples(
    arch: Architecture,
    weights: Weights,
    task: Task,
    items_SQ: Sequence[Sequence[Item]],
    rollouts: Sequence[int],
    address: Address,
    temperature: float,
) -> Samples:
    """Draw responses to each replica's items, at the addresses of the given rollout indices."""
    S, Q, G = len(items_SQ), len(items_SQ[0]), len(rollouts)
    prompts, pads = prompt_tensors(task, [[item.prompt for item in items] for items in items_SQ])
    seeds = [seed for seed in address.seeds for _ in range(Q)]
    indices = [item.index for items in items_SQ for item in items]
    u = uniforms(
        address.root_seed, seeds, indices, address.purpose, address.round, list(rollouts), task.max_new
    )
    return sample(
        arch,
        weights,
        prompts,
        pads,
        torch.from_numpy(u.reshape(S, Q, G, task.max_new)),
        temperature=temperature,
        eos=task.vocabulary.eos,
        pad=task.vocabulary.pad,
    )


def grade_samples(task: Task, items_SQ: Sequence[Sequence[Item]], samples: Samples) -> Graded:
    """Decode and grade what was drawn."""
    known: dict[tuple[int, bytes], tuple[str, Grade]] = {}
    tokens = (
        samples.tokens_SQGT.to(torch.uint8).numpy()
        if len(task.vocabulary) < 256
        else samples.tokens_SQGT.numpy()
    )
    lengths = samples.lengths_SQG.numpy()
    strict = np.zeros(lengths.shape, np.bool_)
    lenient = np.zeros(lengths.shape, np.bool_)
    texts: list[list[list[str]]] = []
    for s, items in enumerate(items_SQ):
        texts.append([])
        for q, item in enumerate(items):
            texts[s].append([])
            for g in range(lengths.shape[2]):
                row = tokens[s, q, g, : lengths[s, q, g]]
                key = (item.index, row.tobytes())
                if key not in known:
                    text = task.vocabulary.decode(row.tolist())
                    known[key] = text, grade(text, item.answer)
                text, (strict[s, q, g], lenient[s, q, g], _) = known[key]
                texts[s][q].append(text)
    return Graded(samples, texts, strict, lenient)


def count_correct(
    arch: Architecture,
    weights: Weights,
    task: Task,
    items_SQ: Sequence[Sequence[Item]],
    samples: int,
    address: Address,
    temperature: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Right answers among `samples` responses to every item: strict and lenient counts, both (S, Q)."""
    Q = len(items_SQ[0])
    counts = np.zeros((2, len(items_SQ), Q), np.int64)
    block = min(samples, ROWS)
    width = max(1, ROWS // block)
    for start in range(0, Q, width):
        part = [items[start : start + width] for items in items_SQ]
        for first in range(0, samples, block):
            rollouts = range(first, min(first + block, samples))
            drawn = draw_samples(arch, weights, task, part, rollouts, address, temperature)
            graded = grade_samples(task, part, drawn)
            counts[0, :, start : start + width] += graded.strict_SQG.sum(-1)
            counts[1, :, start : start + width] += graded.lenient_SQG.sum(-1)
    return counts[0], counts[1]
