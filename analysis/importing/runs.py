"""What an import found, and how it becomes records."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from analysis.importing.options import Options, evaluation
from analysis.loading.agreement import without
from banditrft.catalog import STUDY, write_study
from banditrft.claims import CLAIMS, own_claims
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.files import read_json, sha256_of
from banditrft.provenance import now, provenance
from banditrft.records import RunTables, write_run
from banditrft.runs import Run, digest
from banditrft.study import NAME, Cell, Study
from banditrft.worlds import ImportedWorld

Tool = Literal["trl", "verl", "table"]


@dataclass(frozen=True)
class ImportedRun:
    """One run of another trainer.

    Attributes:
        condition: Name of its condition.
        seed: Its own, or its number among the condition's runs in the order in which they were given.
        design: What it learned; `unknown` fields hold placeholders.
        unknown: Settings that neither the log nor the user says.
        tables: Its tables, of seed 0.
        source: File or folder it was read from.
        row: Which of the table's runs it is, from 1, where a table holds several.
    """

    condition: str
    seed: int
    design: Design
    unknown: tuple[str, ...]
    tables: RunTables
    source: Path
    row: int | None = None


@dataclass(frozen=True)
class Imported:
    """Runs of one world, and what their logs lack."""

    world: ImportedWorld
    runs: tuple[ImportedRun, ...]

    def conditions(self) -> list[str]:
        """Names of the conditions, in the order they were given."""
        return list(dict.fromkeys(run.condition for run in self.runs))


@dataclass(frozen=True)
class Found:
    """One run as it was read; `settings` are those that its log says, `seed` its own where it has one."""

    condition: str
    source: Path
    tables: RunTables
    settings: Mapping[str, Any]
    missing: tuple[str, ...]
    row: int | None = None
    seed: int | None = None


def imported(tool: Tool, found: Sequence[Found], options: Options) -> Imported:
    """Give runs their seeds and designs.

    Raises:
        InputError: No runs, a path given twice, or a setting that cannot be.
    """
    if not found:
        raise InputError("paths: no runs were found")
    seen = set()
    for f in found:
        place = (f.source.resolve(), f.row)
        if place in seen:
            raise InputError(f"paths: {f.source} is given twice")
        seen.add(place)
    if stray := [name for name in options.settings if name and name not in {f.condition for f in found}]:
        raise InputError(f"set: {stray[0]!r} is not a condition of these runs")
    seeds: dict[str, list[int]] = {}
    runs = []
    for f in found:
        design, unknown = options.design(f.condition, f.settings)
        taken = seeds.setdefault(f.condition, [])
        seed = len(taken) if f.seed is None else f.seed
        if seed in taken:
            raise InputError(f"paths: {f.source}: condition {f.condition!r} has seed {seed} twice")
        taken.append(seed)
        runs.append(ImportedRun(f.condition, seed, design, unknown, f.tables, f.source, f.row))
    _one_design(runs)
    world = ImportedWorld(
        name=options.world or options.model or tool,
        tool=tool,
        model=options.model,
        task=options.task,
        single_query=options.single_query,
        seeds=max(len(taken) for taken in seeds.values()),
        unknown=tuple(dict.fromkeys(name for run in runs for name in run.unknown)),
        missing=tuple(dict.fromkeys(sentence for f in found for sentence in f.missing)),
    )
    return Imported(world, tuple(runs))


def _one_design(runs: Iterable[ImportedRun]) -> None:
    first: dict[str, ImportedRun] = {}
    for run in runs:
        other = first.setdefault(run.condition, run)
        for name in Design.model_fields:
            a, b = getattr(other.design, name), getattr(run.design, name)
            if a != b or (name in other.unknown) != (name in run.unknown):
                raise InputError(
                    f"condition {run.condition!r}: runs of one condition share their design, but {name} is "
                    f"{a!r} in {other.source} and {b!r} in {run.source}; name several with --condition"
                )


def write(
    found: Imported,
    out: Path,
    study: str,
    claims: Sequence[str] = (),
    own: Sequence[Mapping[str, Any]] = (),
    command: str = "",
) -> Path:
    """Write imported runs as the records of a study.

    Args:
        found: What was read.
        out: Folder of all records.
        study: Name of the study.
        claims: Ids of the claims to test, which are post hoc: the runs were there before.
        own: Tables of claims of the user's own, as in a study's [[own_claims]].
        command: What the user typed, for provenance.

    Returns:
        The study's folder.

    Raises:
        InputError: A bad name or claim, a folder of another study, or one log given as two runs.
        RecordError: A table breaks the schema.
    """
    if not NAME.fullmatch(study):
        raise InputError(f"study: must match {NAME.pattern}, got {study!r}")
    started = now()
    root = out / study
    runs = [_run(found.world, run) for run in found.runs]
    by_id: dict[str, ImportedRun] = {}
    for run, source in zip(runs, found.runs, strict=True):
        other = by_id.setdefault(run.run_id, source)
        if other is not source:
            raise InputError(f"paths: {source.source} and {other.source} hold the same run")
    cells = _cells(found)
    designs = {found.world.name: {run.condition: without(run.design, run.unknown) for run in found.runs}}
    stated = own_claims(own, designs, tuple(CLAIMS))
    text = _text(found, study, claims, own)
    described = Study(study, 0, tuple(claims), cells, text, own_claims=stated)
    facts = provenance(described.in_force, started)
    if (root / STUDY).exists() and read_json(root / STUDY).get("text") != described.text:
        raise InputError(f"study: {root} holds another study; choose another --study or --out")
    for run, source in zip(runs, found.runs, strict=True):
        write_run(root, run, _seeded(source), {**facts, "imported": _facts(found.world, source)})
    write_study(root, described, runs, command)
    return root


def _run(world: ImportedWorld, run: ImportedRun) -> Run:
    tables = (run.tables.evals, run.tables.rounds, run.tables.groups)
    key = {
        "imported": _sha256(run.source),
        "row": run.row,
        "design": run.design.model_dump(mode="json"),
        "tables": [hashlib.sha256(t.write_csv().encode()).hexdigest() for t in tables],
    }
    seeds = range(run.seed, run.seed + 1)
    measured = evaluation(_samples(run.tables.evals, "train"), _samples(run.tables.evals, "test"))
    return Run(digest(key)[:16], world, run.condition, run.design, measured, 0, seeds)


def _sha256(source: Path) -> str:
    files = sorted(p for p in source.rglob("*") if p.is_file())
    return sha256_of(source) if source.is_file() else digest([sha256_of(p) for p in files])


def _samples(evals: pl.DataFrame, split: str) -> int | None:
    """Responses of the last evaluation of a split."""
    part = evals.filter(pl.col("split") == split)
    return int(part.filter(pl.col("round") == part["round"].max())["n"].sum()) if part.height else None


def _seeded(run: ImportedRun) -> RunTables:
    seed = pl.lit(run.seed, dtype=pl.Int64).alias("seed")
    names = ("rounds", "groups", "evals", "final")
    return replace(run.tables, **{n: getattr(run.tables, n).with_columns(seed) for n in names})


def _facts(world: ImportedWorld, run: ImportedRun) -> dict[str, Any]:
    return {
        "tool": world.tool,
        "source": run.source.name,
        "sha256": _sha256(run.source),
        "row": run.row,
        "unknown": list(run.unknown),
    }


def _cells(found: Imported) -> tuple[Cell, ...]:
    cells = []
    for name in found.conditions():
        runs = [run for run in found.runs if run.condition == name]
        cells.append(Cell(found.world, name, runs[0].design, _run(found.world, runs[0]).evaluation))
    return tuple(cells)


def _text(found: Imported, study: str, claims: Sequence[str], own: Sequence[Mapping[str, Any]]) -> str:
    """A TOML account of the import, which stands in for the text of a study file."""
    lines = [
        f"# Imported from logs of {found.world.tool}; nothing here was run by this project.",
        f'name = "{study}"',
    ]
    lines.append(f"claims = [{', '.join(repr(c) for c in claims)}]")
    lines += [f"# own claim: {json.dumps(table, sort_keys=True)}" for table in own]
    for run in found.runs:
        place = "" if run.row is None else f", run {run.row} of it"
        content = f"{_plain(run.source.name)}{place}, sha256 {_sha256(run.source)[:12]}"
        lines.append(f"# {_plain(run.condition)}, seed {run.seed}: {content}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
