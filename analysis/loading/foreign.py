"""Files that other programs wrote, read strictly: text, JSON, numbers and steps.

Python's own parsers take more than a log may hold (``1_0``, ``true`` as 1, Arabic digits) and fail in more
ways than a caller expects (nesting, numbers of thousands of digits, text that is not UTF-8). Here each of
them is a RecordError that names file and place.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import polars as pl

from banditrft.errors import RecordError

LAST = 2**31 - 2
"""Largest step: records count rounds in 32 bits."""
NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf(?:inity)?)", re.I)
BLANK = frozenset({"", "none", "null", "na", "n/a", "<na>"})
"""What programs write into a cell that has no value."""


def read_text(path: Path) -> str:
    """Text of a UTF-8 file, without a byte-order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({type(error).__name__}: {error})") from None


def parse_json(text: str, where: str, **hooks: Any) -> Any:
    """Any JSON value; `hooks` are those of `json.loads`."""
    try:
        return json.loads(text, **hooks)
    except RecursionError:
        raise RecordError(f"{where}: cannot be read as JSON (nested too deeply)") from None
    except ValueError as error:
        raise RecordError(f"{where}: cannot be read as JSON ({type(error).__name__}: {error})") from None


def read_parquet(path: Path) -> pl.DataFrame:
    """A Parquet file."""
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise RecordError(f"{path}: cannot be read as Parquet ({type(error).__name__}: {error})") from None


def real(value: object) -> float | None:
    """A number of JSON, infinite where it is too large; None if it is no number (or true, false)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number(text: str) -> float | None:
    """A number as it stands in a cell, NaN and infinities too; None if it is none."""
    return float(text) if NUMBER.fullmatch(text) else None


def step_of(value: object, where: str, name: str = "step") -> int:
    """A step: a whole number from 0, which may be written as a float.

    Raises:
        RecordError: It is none; names `where` and the value.
    """
    found = number(value.strip()) if isinstance(value, str) else real(value)
    if found is None or not math.isfinite(found) or found != math.floor(found) or not 0 <= found <= LAST:
        raise RecordError(f"{where}: {name!r} must be a whole number from 0 to {LAST}, got {value!r:.80}")
    return int(found)
