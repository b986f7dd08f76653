"""Records changed by hand as their writer would have changed them: hashes and seals are those of the new content."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from banditrft.files import sha256_of, write_sealed


def edit_json(path: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Change a sealed description and seal it again; the change is made in place or returned."""
    value = json.loads(path.read_text())
    del value["sha256"]
    write_sealed(path, change(value) or value)


def edit_table(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], *, rows: bool = True) -> None:
    """Change a table of a run and state its new hash, and how many rows it has."""
    table = change(pl.read_parquet(path))
    table.write_parquet(path)
    kind, _, evaluation = path.stem.partition("-")

    def state(value: dict[str, Any]) -> None:
        value["files"][path.name] = sha256_of(path)
        if rows and kind in value.get("rows", ()):
            value["rows"][kind] = table.height

    edit_json(path.with_name(f"final-{evaluation}.json" if evaluation else "run.json"), state)
