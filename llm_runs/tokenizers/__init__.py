"""From items to tokens, from tokens to text: the characters of the tiny models and transformers' tokenizers.

A tokenizer is read from the folder of its model, never from anywhere else, and no code of that folder runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from banditrft.errors import InputError
from llm_runs.tokenizers.base import Tokenizer
from llm_runs.tokenizers.characters import Characters, read_characters
from llm_runs.tokenizers.pretrained import Pretrained


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
        told = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and bool(told.get("chat_template"))


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


__all__ = ["Characters", "Pretrained", "Tokenizer", "counter", "has_template", "load_tokenizer"]
