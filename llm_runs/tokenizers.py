"""From items to tokens, from tokens to text: the characters of the tiny models and transformers' tokenizers.

A tokenizer is read from the folder of its model, never from anywhere else, and no code of that folder runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from banditrft.errors import InputError
from llm_runs.interfaces import Item, Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAD, EOS = "<pad>", "<eos>"
_SPLIT = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}


def load_tokenizer(folder: Path, chat: bool | None = None) -> Tokenizer:
    """The tokenizer in a model's folder.

    Args:
        folder: A model's folder.
        chat: Write prompts by the tokenizer's chat template; None does so where it has one.

    Raises:
        InputError: There is none, it cannot be read, nothing says which tokens end a text, or it has no chat
            template and one was asked for.
    """
    characters = read_characters(folder / "tokenizer.json")
    if characters is None:
        return Pretrained(folder, chat)
    if chat:
        raise InputError(f"chat: the tokenizer in {folder} has no chat template, got true")
    return characters


def has_template(folder: Path) -> bool:
    """Whether the tokenizer in a model's folder brings a chat template; found without transformers."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))


def counter(folder: Path) -> Callable[[str], int] | None:
    """How many tokens a text has without a chat around it; None where only transformers knows."""
    path = folder / "tokenizer.json"
    characters = read_characters(path)
    if characters is not None:
        return len
    try:
        from tokenizers import Tokenizer as Fast

        found = Fast.from_file(str(path))
    except Exception:  # noqa: BLE001 - the tokenizers library raises nothing more special
        return None
    found.no_truncation()
    return lambda text: len(found.encode(text, add_special_tokens=False).ids)


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
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or model.get("type") != "WordLevel":
        return None
    if content.get("normalizer") is not None or content.get("pre_tokenizer") != _SPLIT:
        return None
    tokens = tuple(model["vocab"])
    plain = tokens[:2] == (PAD, EOS) and all(len(token) == 1 for token in tokens[2:])
    return Characters(tokens) if plain and list(model["vocab"].values()) == list(range(len(tokens))) else None


class Pretrained:
    """A tokenizer that transformers reads.

    Args:
        folder: Where it stands; generation_config.json there, or else config.json, may name further tokens
            that end a response.
        chat: As in `load_tokenizer`.

    Raises:
        InputError: As `load_tokenizer`.
    """

    def __init__(self, folder: Path, chat: bool | None) -> None:
        self._tokenizer = _from_folder(folder)
        self._chat = self._tokenizer.chat_template is not None if chat is None else chat
        if self._chat and self._tokenizer.chat_template is None:
            raise InputError(f"chat: the tokenizer in {folder} has no chat template, got true")
        own = self._tokenizer.eos_token_id
        ends = [own] if isinstance(own, int) else []
        self.ends = tuple(dict.fromkeys(ends + _further_ends(folder)))
        if not self.ends:
            raise InputError(f"{folder}: neither tokenizer nor generation_config.json says what ends a text")
        pad = self._tokenizer.pad_token_id
        self.pad = pad if isinstance(pad, int) else self.ends[0]
        self.size = max(self._tokenizer.get_vocab().values()) + 1

    def encode(self, item: Item) -> list[int]:
        """Tokens of an item's prompt: its chat, with the opening of the answer, or its plain text.

        Raises:
            InputError: The chat template refuses the chat, or the text is no Unicode.
        """
        from jinja2 import TemplateError

        try:
            ids = self._chat_ids(item) if self._chat else self._plain_ids(item)
        except (TemplateError, TypeError, UnicodeError) as error:
            raise InputError(f"item {item.index}: its prompt cannot be written in tokens ({error})") from None
        return ids[1:] if len(ids) > 1 and ids[0] == ids[1] == self._tokenizer.bos_token_id else ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids before the first end token, special tokens left out."""
        kept = list(takewhile(lambda token: token not in self.ends, ids))
        text = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def _chat_ids(self, item: Item) -> list[int]:
        ids = self._tokenizer.apply_chat_template(
            [message._asdict() for message in item.chat],
            add_generation_prompt=True,
            return_dict=False,
            strftime_now=_fixed_date,
        )
        return cast("list[int]", ids)

    def _plain_ids(self, item: Item) -> list[int]:
        ids = cast("list[int]", self._tokenizer.encode(item.prompt))
        return ids[:-1] if ids and ids[-1] == self._tokenizer.eos_token_id else ids


def _fixed_date(layout: str) -> str:
    """The day that chat templates are given: a prompt must not change overnight."""
    return date(2024, 7, 26).strftime(layout)


def _from_folder(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises nothing more special
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{folder}: its tokenizer cannot be read ({reason})") from None
    return cast("PreTrainedTokenizerBase", found)


def _further_ends(folder: Path) -> list[int]:
    """Tokens that end a response by the model's own files."""
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))["eos_token_id"]
            except (OSError, ValueError, RecursionError) as error:
                raise InputError(f"{path}: cannot be read as JSON ({error})") from None
            except (KeyError, TypeError):
                continue
            ends = found if isinstance(found, list) else [] if found is None else [found]
            if not all(type(token) is int and token >= 0 for token in ends):
                raise InputError(f"{path}: eos_token_id must be a token or a list of tokens, got {found!r}")
            if ends:
                return ends
    return []
