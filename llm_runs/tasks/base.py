"""What a task is: numbered items with a prompt and a known answer, in disjoint sets, and a grader.

A task fixes every tensor shape of the LLM world (`prompt_max`, `max_new`, in tokens of whichever tokenizer
reads it), so that shapes never depend on what happens to share a batch. It knows nothing of models,
tokenizers, rewards or learning.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from banditrft.errors import InputError
from llm_runs.graders import Grader
from llm_runs.interfaces import Item


class Task(ABC):
    """A deterministic map from item index to problem, with disjoint sets of indices.

    Every index belongs to exactly one set: "pool" (training queries are taken from it), "test" (held out) or,
    for the tasks of the shipped models, "pretrain".

    Attributes:
        name: How studies and records call it.
        prompt_max: Longest prompt, tokens.
        max_new: Longest response, tokens.
        splits: The sets it has.
        mark: Text that stands before the answer in a response; what stands before its last occurrence is
            work. None where the task has no such mark.
    """

    name: str
    prompt_max: int
    max_new: int
    splits: tuple[str, ...] = ("pool", "test")
    mark: str | None = None

    @abstractmethod
    def grader(self) -> Grader:
        """A new grader of this task's responses; whoever asks closes it."""

    @abstractmethod
    def item(self, index: int) -> Item:
        """The item with that index.

        Raises:
            InputError: The index lies outside the item space.
        """

    @abstractmethod
    def size(self, split: str) -> int:
        """Number of items in a set.

        Raises:
            InputError: The set is unknown.
        """

    @abstractmethod
    def split_of(self, index: int) -> str:
        """The set to which an item belongs."""

    @abstractmethod
    def indices(self, split: str, count: int) -> list[int]:
        """The first `count` item indices of a set, in the task's fixed order.

        Raises:
            InputError: The set is unknown or holds fewer items.
        """

    def items(self, split: str, count: int) -> list[Item]:
        """The first `count` items of a set."""
        return [self.item(index) for index in self.indices(split, count)]

    def work_share(self, text: str) -> float | None:
        """Share of a response's characters before its answer mark, in [0, 1]: its chain of thought.

        Returns:
            1 where the mark is missing (all is work, nothing of the answer), 0 for an empty response, None
            where the task has no mark.
        """
        if self.mark is None:
            return None
        before = text.rfind(self.mark)
        return len(text[:before] if before >= 0 else text) / max(1, len(text))

    def _check(self, split: str, count: int = 0) -> None:
        """Refuse an unknown set, and a count that it does not hold."""
        if split not in self.splits:
            raise InputError(f"split {split!r}: unknown; task {self.name!r} has {', '.join(self.splits)}")
        if count and count > self.size(split):
            raise InputError(
                f"{split} items: task {self.name!r} holds {self.size(split)}, {count} were asked for"
            )
