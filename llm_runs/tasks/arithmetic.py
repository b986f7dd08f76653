"""Integer arithmetic in 20 characters: `12+7-3=?` is answered by `#16`, or after work by `19-3#16`.

Item space. Six families, each a full grid of operands (no prompt occurs twice):

    one-digit   a+b     a in 1..9,     b in 1..99           891
    two-digit   a+b     a in 10..99,   b in 10..99        8,100
    difference  a-b     b in 1..49,    a-b in 1..50       2,450
    sum-minus   a+b-c   a in 10..59, b in 1..39, c in 1..9  17,550
    three-digit a+b     a, b in 100..999                810,000
    product     a*b     a in 2..9,     b in 2..49           384

Index `i` belongs to family `i % 6` at position `j = i // 6`; the grid cell at position `j` is `(j * s + s
// 2) % n`, where `n` is the family's size and `s` the smallest integer above `.618 n` that is coprime to
`n` (so that positions are a permutation of cells, spread evenly). An index is valid iff `j < n`. Sets. Of
each family the first 20% of positions are "test", the next 20% "pool", the rest "pretrain": three disjoint
sets of prompts by construction. They are not disjoint up to commutation: a+b and b+a are different prompts,
and of the first 200 test items 61 have their mirror image in "pretrain" (b+a-c for a+b-c, b*a for a*b).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from banditrft.errors import InputError
from llm_runs.tasks.base import Item, Task
from llm_runs.tasks.vocabulary import Vocabulary

SPLITS = ("test", "pool", "pretrain")
HELD_OUT = 0.2


@dataclass(frozen=True)
class Problem:
    """A prompt, its answer and the work that may stand before it in a response (`work#answer`)."""

    prompt: str
    answer: int
    work: str


def _tens(x: int) -> tuple[int, int]:
    return x // 10 * 10, x % 10


def _one_digit(a: int, b: int) -> Problem:
    tens, units = _tens(b)
    return Problem(f"{a}+{b}=?", a + b, f"{a + units}+{tens}")


def _two_digit(a: int, b: int) -> Problem:
    (ta, ua), (tb, ub) = _tens(a), _tens(b)
    return Problem(f"{a}+{b}=?", a + b, f"{ta + tb}+{ua + ub}")


def _difference(b: int, d: int) -> Problem:
    tens, units = _tens(b)
    return Problem(f"{b + d}-{b}=?", d, f"{b + d - tens}-{units}")


def _sum_minus(a: int, b: int, c: int) -> Problem:
    return Problem(f"{a}+{b}-{c}=?", a + b - c, f"{a + b}-{c}")


def _three_digit(a: int, b: int) -> Problem:
    hundreds = (a // 100 + b // 100) * 100
    tens = (a % 100 // 10 + b % 100 // 10) * 10
    return Problem(f"{a}+{b}=?", a + b, f"{hundreds}+{tens}+{a % 10 + b % 10}")


def _product(a: int, b: int) -> Problem:
    tens, units = _tens(b)
    return Problem(f"{a}*{b}=?", a * b, f"{a * tens}+{a * units}")


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


FAMILIES = (
    Family("one-digit", ((1, 9), (1, 99)), _one_digit),
    Family("two-digit", ((10, 99), (10, 99)), _two_digit),
    Family("difference", ((1, 49), (1, 50)), _difference),
    Family("sum-minus", ((10, 59), (1, 39), (1, 9)), _sum_minus),
    Family("three-digit", ((100, 999), (100, 999)), _three_digit),
    Family("product", ((2, 9), (2, 49)), _product),
)


class Arithmetic(Task):
    """The arithmetic task: prompts of at most 10 tokens, responses of at most 24 including `<eos>`."""

    name: ClassVar[str] = "arithmetic"
    vocabulary: ClassVar[Vocabulary] = Vocabulary.of("0123456789+-*=?#; ")
    prompt_max: ClassVar[int] = 10
    max_new: ClassVar[int] = 24

    def _place(self, index: int) -> tuple[Family, int]:
        family = FAMILIES[index % len(FAMILIES)]
        position = index // len(FAMILIES)
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
        return Item(index, problem.prompt, str(problem.answer), family.name)

    def split_of(self, index: int) -> str:
        """The set to which an item belongs."""
        family, position = self._place(index)
        return next(split for split in SPLITS if position in family.span(split))

    def indices(self, split: str, count: int) -> list[int]:
        """The first `count` item indices of a set, families in turn (passing over one that has run out)."""
        if split not in SPLITS:
            raise InputError(f"split {split!r}: unknown; task {self.name!r} has {', '.join(SPLITS)}")
        spans = [family.span(split) for family in FAMILIES]
        if count > sum(map(len, spans)):
            raise InputError(
                f"{split} items: task {self.name!r} holds {sum(map(len, spans))}, {count} were asked for"
            )
        chosen: list[int] = []
        turn = 0
        while len(chosen) < count:
            chosen += [s[turn] * len(FAMILIES) + f for f, s in enumerate(spans) if turn < len(s)][
                : count - len(chosen)
            ]
            turn += 1
        return chosen
