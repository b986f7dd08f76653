"""A study's folder: which runs it consists of, and which are there.

``runs/<study>/study.json`` maps conditions and claims to run ids, ``queries.json`` holds what the
language-model worlds resolved once. Running a study again runs only what is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from banditrft.claims import claims_hash
from banditrft.design import explain
from banditrft.errors import InputError, RecordError
from banditrft.files import read_sealed, write_sealed
from banditrft.records import RUN, SCHEMA, checkpoint_path, description_name
from banditrft.runs import Query, Run, WorldQueries, digest
from banditrft.study import Cell, Study

STUDY, QUERIES = "study.json", "queries.json"


class _Cell(BaseModel):
    """What study.json says of a condition in one world."""

    model_config = ConfigDict(strict=True)

    world: str
    condition: str
    design: dict[str, Any]
    evaluation: dict[str, Any]
    evaluation_id: str
    runs: list[str]


class _Description(BaseModel):
    """What readers rely on in study.json."""

    model_config = ConfigDict(strict=True)

    name: str
    root_seed: int
    claims: list[str]
    own_claims: list[dict[str, Any]] = []
    worlds: list[dict[str, Any]]
    cells: list[_Cell]
    text: str


def read_study(root: Path) -> dict[str, Any]:
    """study.json of a study's folder, as plain values.

    Raises:
        RecordError: Missing, not what was written, of another schema, a field that cannot be, a run counted
            twice in a condition; names the file and every such field.
    """
    path = root / STUDY
    study = read_sealed(path)
    if study.get("schema") != SCHEMA:
        raise RecordError(f"{path}: schema must be {SCHEMA}, got {study.get('schema')!r}")
    try:
        described = _Description.model_validate(study)
    except ValidationError as error:
        raise RecordError(f"{path}: is not a study's description: {explain(error)}") from None
    for cell in described.cells:
        if len(set(cell.runs)) < len(cell.runs):
            raise RecordError(f"{path}: condition {cell.condition!r} counts a run twice")
    return study


@dataclass(frozen=True)
class Status:
    """Which runs of a study are there.

    Attributes:
        found: Runs with their final evaluation.
        stale: Runs trained, but without the final evaluation asked for; which is made up for.
        missing: The rest.
    """

    found: list[Run]
    stale: list[Run]
    missing: list[Run]


def status(root: Path, runs: Sequence[Run]) -> Status:
    """Look up each run, once per id."""
    unique = list({(run.run_id, run.evaluation_id): run for run in runs}.values())
    found, stale, missing = [], [], []
    for run in unique:
        folder = root / run.run_id
        if not (folder / RUN).exists():
            missing.append(run)
        elif (folder / description_name(run)).exists():
            found.append(run)
        else:
            stale.append(run)
    return Status(found, stale, missing)


def can_reevaluate(root: Path, run: Run) -> bool:
    """Whether a stale run can get another final evaluation: simulated anew, or from the weights it kept."""
    return run.world.kind == "sim" or checkpoint_path(root / run.run_id).exists()


def write_study(root: Path, study: Study, runs: Sequence[Run], command: str) -> None:
    """Write study.json, keeping the cells of other worlds that are there and unchanged.

    A description that another text of the study left is kept beside it, never overwritten silently.

    Args:
        root: The study's folder.
        study: The resolved study.
        runs: Runs of one or more kinds.
        command: What the user typed, for provenance.

    Raises:
        RecordError: The study.json that is there is not one.
    """
    before = read_study(root) if (root / STUDY).exists() else None
    known = {} if before is None else _kept_cells(before, study)
    by_cell: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        by_cell.setdefault((run.world.name, run.condition), []).append(run)
    for cell in study.cells:
        own = by_cell.get((cell.world.name, cell.condition))
        if own:
            found = {"evaluation_id": own[0].evaluation_id, "runs": [r.run_id for r in own]}
            known[cell.world.name, cell.condition] = _describe(cell) | found
    value = {
        "schema": SCHEMA,
        "name": study.name,
        "source": study.source,
        "root_seed": study.root_seed,
        "claims": list(study.claims),
        **({"own_claims": [c.settings for c in study.own_claims]} if study.own_claims else {}),
        "claims_hash": claims_hash(study.in_force),
        "worlds": [w.model_dump(mode="json") for w in study.worlds()],
        "cells": [known[key] for c in study.cells if (key := (c.world.name, c.condition)) in known],
        "command": command,
        "text": study.text,
    }
    root.mkdir(parents=True, exist_ok=True)
    if before is not None and before["text"] != study.text:
        write_sealed(root / f"study-{digest(before['text'])[:8]}.json", before)
    if before != value:
        write_sealed(root / STUDY, value)


def refuse_other(root: Path, study: Study) -> None:
    """Refuse a folder that another study file wrote to, before anything is run.

    A file whose name is the study's may change and go on; so may the file that wrote there before.

    Args:
        root: The study's folder.
        study: What would be run; a study that came from no file goes anywhere.

    Raises:
        InputError: Names both studies and the folder.
    """
    if not study.source or not (root / STUDY).exists():
        return
    before = read_study(root)
    owner = before.get("source") or study.source
    fixed = any(str(source).startswith(("preset ", "import ")) for source in (owner, study.source))
    if owner == study.source or before["text"] == study.text:
        return
    if fixed or study.source != f"{study.name}.toml":
        raise InputError(
            f"name: {root} holds the records of another study of this name, from {owner}; give the one in "
            f"{study.source} a name of its own, or another folder (--runs), got {study.name!r}"
        )


def _describe(cell: Cell) -> dict[str, Any]:
    return {
        "world": cell.world.name,
        "condition": cell.condition,
        "design": cell.design.model_dump(mode="json"),
        "evaluation": cell.evaluation.model_dump(mode="json"),
    }


def _kept_cells(before: dict[str, Any], study: Study) -> dict[tuple[str, str], dict[str, Any]]:
    """Cells of an earlier description that the study still has, the same."""
    old = {(c["world"], c["condition"]): c for c in before["cells"]}
    worlds = {w.get("name"): w for w in before["worlds"]}
    same = before["root_seed"] == study.root_seed and bool(before["text"])
    kept = {}
    for cell in study.cells:
        key = (cell.world.name, cell.condition)
        unchanged = worlds.get(cell.world.name) == cell.world.model_dump(mode="json")
        if same and unchanged and key in old and _describe(cell).items() <= old[key].items():
            kept[key] = old[key]
    return kept


def read_queries(root: Path) -> dict[str, WorldQueries]:
    """Queries resolved before, by world; empty when there are none.

    Raises:
        RecordError: The file is not what was written.
    """
    path = root / QUERIES
    if not path.exists():
        return {}
    try:
        return {
            name: WorldQueries(
                **{
                    **value,
                    "queries": tuple(Query(**query) for query in value["queries"]),
                    "told": tuple(value.get("told", ())),
                },
            )
            for name, value in read_sealed(path)["worlds"].items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"{path}: is not a table of resolved queries ({error})") from None


def write_queries(root: Path, queries: Mapping[str, WorldQueries]) -> None:
    """Write queries.json."""
    root.mkdir(parents=True, exist_ok=True)
    worlds = {name: asdict(resolved) for name, resolved in queries.items()}
    write_sealed(root / QUERIES, {"worlds": worlds})
