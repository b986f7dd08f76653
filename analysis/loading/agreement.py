"""Whether a study's description and its runs say the same: an edited study.json must not relabel runs."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from banditrft.design import CURVE_FIELDS, Design, Evaluation, Frozen, parse
from banditrft.errors import InputError, RecordError
from banditrft.records import RunRecord
from banditrft.worlds import WorldSettings

M = TypeVar("M", bound=Frozen)
DRAWN = ("kind", "world", "task", "train_items", "base_pass_at_1", "transfer", "dimension", "draw")
"""World settings that say what was run and are compared as they stand (a model may be renamed)."""


def check(
    run: RunRecord, world: WorldSettings, design: Design, evaluation: Evaluation, study: Path, condition: str
) -> None:
    """Compare what study.json says of a condition with what one of its runs says of itself.

    Args:
        run: The run.
        world: The condition's world.
        design: Its design.
        evaluation: Its evaluations.
        study: study.json, for errors.
        condition: Its name.

    Raises:
        RecordError: They differ; names both files, the field and both values.
    """
    info, where = run.info, run.folder / "run.json"
    try:
        own = _parsed(json.dumps(info.get("design")), json.dumps(info.get("evaluation")))
    except InputError as error:
        raise RecordError(f"{where}: is not a run's description: {error}") from None
    settings = info["world"]
    for said, found, fields in (
        (design, own[0], tuple(Design.model_fields)),
        (evaluation, own[1], CURVE_FIELDS),
    ):
        for name in fields:
            _same(getattr(said, name), getattr(found, name), name, study, condition, where)
    described = world.model_dump(mode="json", include=set(DRAWN))
    for name in described.keys() & settings.keys():
        _same(described[name], settings[name], f"world.{name}", study, condition, where)


@functools.lru_cache(maxsize=256)
def _parsed(design: str, evaluation: str) -> tuple[Design, Evaluation]:
    """Settings from JSON; runs of a condition share them."""
    return (
        parse(Design, json.loads(design), "design"),
        parse(Evaluation, json.loads(evaluation), "evaluation"),
    )


def _same(said: object, found: object, field: str, study: Path, condition: str, run: Path) -> None:
    if said != found:
        raise RecordError(
            f"{study}: condition {condition!r} says {field} = {said!r}, but {run} was made with {found!r}: "
            "one of the files was edited, or runs of different designs stand under one name"
        )


def unknown(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Settings that the logs of a condition's imported runs do not say; none of other runs.

    Raises:
        RecordError: The runs differ in them; names the file.
    """
    found = [_unknown(run) for run in runs]
    for run, names in zip(runs, found, strict=True):
        if names != found[0]:
            raise RecordError(
                f"{run.folder / 'run.json'}: unknown settings must be those of the condition's other runs "
                f"({', '.join(found[0]) or 'none'}), got {', '.join(names) or 'none'}"
            )
    return found[0]


def _unknown(run: RunRecord) -> tuple[str, ...]:
    source: Any = run.info.get("imported", {})
    names = source.get("unknown", []) if isinstance(source, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordError(
            f"{run.folder / 'run.json'}: imported.unknown must be a list of names, got {names!r}"
        )
    return tuple(names)


def without(settings: M, unknown: Sequence[str]) -> M:
    """Settings with None in place of the unknown ones, so that no default passes for something known."""
    fields = type(settings).model_fields
    gone = {name: None for name in unknown if name in fields}
    if not gone:
        return settings
    return cast("M", type(settings).model_construct(**{**dict(settings), **gone}))
