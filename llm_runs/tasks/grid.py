"""Synthetic tasks: families of problems, each a finite grid of operands, cut into three disjoint sets.

Index `i` of a task of F families belongs to family `i % F` at position `j = i // F`; the grid cell at
position `j` is `(j * s + s // 2) % n`, where `n` is the family's size and `s` the smallest integer above
`.618 n` that is coprime to `n` (so that positions are a permutation of cells, spread evenly). An index is
valid iff `j < n`. Of each family the first 20% of positions are "test", the next 20% "pool", the rest
"pretrain". No two cells of a task have the same prompt, so the sets are disjoint as sets of prompts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from banditrft.errors import InputError
from llm_runs.interfaces import Item
from llm_runs.tasks.base import Task

SPLITS = ("test", "pool", "pretrain")
HELD_OUT = 0.2


@dataclass(frozen=True)
class Problem:
    """A prompt, its answer and the work that may stand before it in a response."""

    prompt: str
    answer: str
    work: str


@dataclass(frozen=True)
class Family:
    """A grid of operands: one inclusive range per operand, the last one varying fastest."""

    name: str
    ranges: tuple[tuple[int, int], ...]
    problem: Callable[..., Problem]

    @cached_property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(high - low + 1 for low, high in self.ranges)

    @cached_property
    def stride(self) -> int:
        """Smallest integer above .618 size that is coprime to size."""
        stride = math.floor(0.618 * self.size) + 1
        while math.gcd(stride, self.size) != 1:
            stride += 1
        return stride

    def at(self, position: int) -> Problem:
        """The problem at a position of the family's fixed permutation."""
        cell = (position * self.stride + self.stride // 2) % self.size
        operands: list[int] = []
        for low, high in reversed(self.ranges):
            cell, digit = divmod(cell, high - low + 1)
            operands.append(low + digit)
        return self.problem(*reversed(operands))

    def span(self, split: str) -> range:
        """Positions of a set."""
        cut = int(HELD_OUT * self.size)
        return {
            "test": range(cut),
            "pool": range(cut, 2 * cut),
            "pretrain": range(2 * cut, self.size),
        }[split]


class GridTask(Task):
    """A task of families (see the module for its map from index to problem).

    Attributes:
        families: In the order of the indices.
    """

    families: tuple[Family, ...]
    splits = SPLITS

    def _place(self, index: int) -> tuple[Family, int]:
        family = self.families[index % len(self.families)]
        position = index // len(self.families)
        if not 0 <= position < family.size:
            raise InputError(f"item {index}: outside the item space of task {self.name!r}")
        return family, position

    def problem(self, index: int) -> Problem:
        """The prompt, answer and work of an item.

        Raises:
            InputError: the index lies outside the item space.
        """
        family, position = self._place(index)
        return family.at(position)

    def item(self, index: int) -> Item:
        """The item with that index (see the module for the map)."""
        family, position = self._place(index)
        problem = family.at(position)
        return Item(index, problem.prompt, problem.answer, family.name)

    def split_of(self, index: int) -> str:
        """The set to which an item belongs."""
        family, position = self._place(index)
        return next(split for split in SPLITS if position in family.span(split))

    def _spans(self, split: str) -> list[range]:
        self._check(split)
        return [family.span(split) for family in self.families]

    def size(self, split: str) -> int:
        """Number of items in a set."""
        return sum(map(len, self._spans(split)))

    def indices(self, split: str, count: int) -> list[int]:
        """The first `count` item indices of a set, families in turn (passing over one that has run out)."""
        self._check(split, count)
        spans = self._spans(split)
        chosen: list[int] = []
        turn = 0
        while len(chosen) < count:
            chosen += [s[turn] * len(spans) + f for f, s in enumerate(spans) if turn < len(s)][
                : count - len(chosen)
            ]
            turn += 1
        return chosen
