"""Characters as tokens: the map between text and the integers that a language model reads.

One character is one token; `pad` fills shapes up and `eos` ends a response. This is not a general
tokenizer: text with a character outside the vocabulary is an error, never an unknown token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from banditrft.errors import InputError

PAD = "<pad>"
EOS = "<eos>"


@dataclass(frozen=True)
class Vocabulary:
    """Token `i` is `tokens[i]`; token 0 is `<pad>`, token 1 is `<eos>`, the others are single characters."""

    tokens: tuple[str, ...]

    @classmethod
    def of(cls, characters: str) -> Vocabulary:
        """The vocabulary of `<pad>`, `<eos>` and the given characters, in that order."""
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

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, one per character.

        Raises:
            InputError: a character is not in the vocabulary.
        """
        try:
            return [self._index[character] for character in text]
        except KeyError as error:
            raise InputError(f"text {text!r}: character {error.args[0]!r} is not in the vocabulary") from None

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids before the first `<eos>`; a sampled `<pad>` is spelled out: it spoils a number."""
        characters: list[str] = []
        for i in ids:
            if i == self.eos:
                break
            characters.append(self.tokens[i])
        return "".join(characters)

    def left_padded(self, texts: Sequence[str], width: int) -> tuple[list[list[int]], list[int]]:
        """Ids of each text padded on the left to `width`, and the number of pads of each.

        Raises:
            InputError: a text is longer than `width`.
        """
        rows, pads = [], []
        for text in texts:
            ids = self.encode(text)
            if len(ids) > width:
                raise InputError(f"prompt {text!r}: at most {width} tokens are allowed, got {len(ids)}")
            pads.append(width - len(ids))
            rows.append([self.pad] * (width - len(ids)) + ids)
        return rows, pads
