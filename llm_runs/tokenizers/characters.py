"""The tokenizer of the tiny models: one character is one token."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from banditrft.errors import InputError

if TYPE_CHECKING:
    from llm_runs.tasks.base import Item

PAD, EOS = "<pad>", "<eos>"
_SPLIT = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}


@dataclass(frozen=True)
class Characters:
    """One character is one token: token 0 is `<pad>`, token 1 is `<eos>`, the others are single characters.

    Text with a character outside of these is an error, never an unknown token.

    Attributes:
        tokens: Token `i` is `tokens[i]`.
    """

    tokens: tuple[str, ...]

    @classmethod
    def of(cls, characters: str) -> Characters:
        """`<pad>`, `<eos>` and the given characters, in that order."""
        return cls((PAD, EOS, *characters))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @property
    def pad(self) -> int:
        """Token id of `<pad>`."""
        return 0

    @property
    def eos(self) -> int:
        """Token id of `<eos>`."""
        return 1

    @property
    def ends(self) -> tuple[int, ...]:
        """`<eos>`."""
        return (self.eos,)

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    def encode(self, item: Item) -> list[int]:
        """Tokens of an item's prompt.

        Raises:
            InputError: A character is not among the tokens.
        """
        return self.encode_text(item.prompt)

    def encode_text(self, text: str) -> list[int]:
        """Tokens of a text, one per character.

        Raises:
            InputError: A character is not among the tokens.
        """
        try:
            return [self._index[character] for character in text]
        except KeyError as error:
            raise InputError(
                f"text {text!r}: character {error.args[0]!r} is none of the model's tokens"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids before the first `<eos>`; a sampled `<pad>` is spelled out: it spoils a number."""
        characters: list[str] = []
        for i in ids:
            if i == self.eos:
                break
            characters.append(self.tokens[i])
        return "".join(characters)


def read_characters(path: Path) -> Characters | None:
    """The tokenizer of a tiny model; None if the file says something else, or nothing."""
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    model = told.get("model") if isinstance(told, dict) else None
    if not isinstance(model, dict) or model.get("type") != "WordLevel":
        return None
    if told.get("normalizer") is not None or told.get("pre_tokenizer") != _SPLIT:
        return None
    tokens = tuple(model["vocab"])
    plain = tokens[:2] == (PAD, EOS) and all(len(token) == 1 for token in tokens[2:])
    return Characters(tokens) if plain and list(model["vocab"].values()) == list(range(len(tokens))) else None
