"""What a task is: numbered items with a prompt and a known answer, cut once and for all into disjoint sets.

A task fixes every tensor shape of the LLM world (`prompt_max`, `max_new`), so that shapes never depend on
what happens to share a batch. It knows nothing of models, rewards or learning.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from llm_runs.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Item:
    """One problem: its index in the task's item space, prompt, answer (digits) and family."""

    index: int
    prompt: str
    answer: str
    family: str


class Task(ABC):
    """A deterministic map from item index to problem, with three disjoint sets of items.

    The sets are disjoint as sets of *prompts*: different indices have different prompts, and every index
    belongs to exactly one of "pretrain", "pool" (training queries are selected from it) and "test" (held
    out).
    """

    name: ClassVar[str]
    vocabulary: ClassVar[Vocabulary]
    prompt_max: ClassVar[int]
    max_new: ClassVar[int]

    @abstractmethod
    def item(self, index: int) -> Item:
        """The item with that index.

        Raises:
            InputError: the index lies outside the item space.
        """

    @abstractmethod
    def indices(self, split: str, count: int) -> list[int]:
        """The first `count` item indices of a set ("pretrain", "pool" or "test"), families in turn.

        Raises:
            InputError: the set is unknown or holds fewer items.
        """

    @abstractmethod
    def split_of(self, index: int) -> str:
        """The set to which an item belongs."""

    def items(self, split: str, count: int) -> list[Item]:
        """The first `count` items of a set."""
        return [self.item(index) for index in self.indices(split, count)]
