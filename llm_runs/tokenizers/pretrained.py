"""Tokenizers that transformers reads, from the folder of their model; no code of that folder runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from banditrft.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from llm_runs.tasks.base import Item


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
    """The day that chat templates are told: a prompt must not change overnight."""
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
                told = json.loads(path.read_text(encoding="utf-8"))["eos_token_id"]
            except (OSError, ValueError, RecursionError) as error:
                raise InputError(f"{path}: cannot be read as JSON ({error})") from None
            except (KeyError, TypeError):
                continue
            ends = told if isinstance(told, list) else [] if told is None else [told]
            if not all(type(token) is int and token >= 0 for token in ends):
                raise InputError(f"{path}: eos_token_id must be a token or a list of tokens, got {told!r}")
            if ends:
                return ends
    return []
