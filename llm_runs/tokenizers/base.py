"""What the language-model world asks of a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llm_runs.tasks.base import Item


class Tokenizer(Protocol):
    """What the language-model world asks of a tokenizer.

    Attributes:
        pad: Token that fills shapes up.
        ends: Tokens that end a response, at least one; the first is the tokenizer's own.
        size: Number of tokens it knows; ids lie in [0, size).
    """

    @property
    def pad(self) -> int: ...  # noqa: D102
    @property
    def ends(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102

    def encode(self, item: Item) -> list[int]:
        """Tokens of an item's prompt, up to where the response begins.

        Raises:
            InputError: The prompt cannot be written in these tokens.
        """
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of a response: what stands before the first end token."""
        ...
