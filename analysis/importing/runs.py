"""What an import found, and how it becomes records."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from analysis.importing.logs import at_rounds, until
from analysis.importing.options import Options, evaluation
from analysis.loading.records import load, without
from banditrft.catalog import STUDY, read_study, write_study
from banditrft.claims import CLAIMS, own_claims
from banditrft.design import Design
from banditrft.errors import InputError, RecordError
from banditrft.files import sha256_of
from banditrft.names import check_name, visible
from banditrft.parts import part_of
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
    for f in found:
        try:
            check_name(f.condition)
        except ValueError as error:
            raise InputError(f"condition: a name, here from {f.source}, {error}") from None
    if stray := [name for name in options.settings if name and name not in {f.condition for f in found}]:
        raise InputError(f"set: {stray[0]!r} is not a condition of these runs")
    left_out: list[str] = []
    if options.common_rounds:
        found, left_out = _shortest(found)
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
    runs, odd = _one_grid(runs, common=options.common_rounds)
    if all(
        table.is_empty() for run in runs for table in (run.tables.rounds, run.tables.evals, run.tables.final)
    ):
        why = " ".join(dict.fromkeys(sentence for f in found for sentence in f.missing))
        raise InputError(f"paths: nothing to record was found in {found[0].source}. {why}".rstrip())
    world = ImportedWorld(
        name=options.world or options.model or tool,
        tool=tool,
        model=options.model,
        task=options.task,
        single_query=options.single_query,
        seeds=max(len(taken) for taken in seeds.values()),
        unknown=tuple(dict.fromkeys(name for run in runs for name in run.unknown)),
        missing=tuple(dict.fromkeys([*(sentence for f in found for sentence in f.missing), *left_out, *odd])),
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
                    f"{', or --common-rounds leaves out what not all have' if name == 'rounds' else ''}"
                )


def _shortest(found: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """Runs until the end of the shortest log of their condition, and what was left out for that."""
    kept, left_out = list(found), dict[str, None]()
    ends: dict[str, int] = {}
    for f in found:
        if "rounds" in f.settings:
            ends[f.condition] = min(f.settings["rounds"], ends.get(f.condition, f.settings["rounds"]))
    for i, f in enumerate(found):
        last = ends.get(f.condition)
        if last is not None and f.settings["rounds"] > last:
            kept[i] = replace(f, tables=until(f.tables, last), settings={**f.settings, "rounds": last})
            left_out[f"What runs of {f.condition!r} did after round {last}, where one ends, is left out."] = (
                None
            )
    return kept, list(left_out)


def _one_grid(runs: Sequence[ImportedRun], *, common: bool) -> tuple[list[ImportedRun], list[str]]:
    """Runs evaluated at the same rounds in each condition, and what was left out for that, if it may be.

    Raises:
        InputError: Rounds differ and nothing may be left out, or no round is common to all.
    """
    kept, left_out = list(runs), []
    for condition in dict.fromkeys(run.condition for run in runs):
        own = [i for i, run in enumerate(runs) if run.condition == condition]
        for split in ("train", "test"):
            rounds = [set(_rounds(runs[i].tables.evals, split)) for i in own]
            shared = set.intersection(*rounds)
            if all(found == shared for found in rounds):
                continue
            odd = min(set.union(*rounds) - shared)
            has = next(runs[i] for i, found in zip(own, rounds, strict=True) if odd in found)
            lacks = next(runs[i] for i, found in zip(own, rounds, strict=True) if odd not in found)
            if not common or not shared:
                raise InputError(
                    f"condition {condition!r}: its runs need {split} evaluations at the same rounds, but "
                    f"{_place(has)} has one at round {odd} and {_place(lacks)} has none; "
                    + ("no round is common to all" if common else "--common-rounds leaves such rounds out")
                )
            for i in own:
                kept[i] = replace(kept[i], tables=at_rounds(kept[i].tables, split, shared))
            lost = len(set.union(*rounds)) - len(shared)
            left_out.append(
                f"{lost} rounds of {split} evaluations that not all runs of {condition!r} have are left out."
            )
    return kept, left_out


def _rounds(evals: pl.DataFrame, split: str) -> list[int]:
    return evals.filter(pl.col("split") == split)["round"].unique().to_list()


def _place(run: ImportedRun) -> str:
    return f"{run.source}" if run.row is None else f"run {run.row} of {run.source}"


def write(
    found: Imported,
    out: Path,
    study: str,
    claims: Sequence[str] = (),
    own: Sequence[Mapping[str, Any]] = (),
    command: str = "",
    *,
    replace_old: bool = False,
) -> Path:
    """Write imported runs as the records of a study, whole or not at all.

    The records are written beside the study's folder and read back; only then does the folder get its name.

    Args:
        found: What was read.
        out: Folder of all records.
        study: Name of the study.
        claims: Ids of the claims to test, which are post hoc: the runs were there before.
        own: Tables of claims of the user's own, as in a study's [[own_claims]].
        command: What the user typed, for provenance.
        replace_old: Whether another import of that name gives way; nothing else does.

    Returns:
        The study's folder. The same import again leaves it as it is.

    Raises:
        InputError: A bad name or claim, a folder of another study, or one log given as two runs.
        RecordError: A table breaks the schema, or the records contradict one another.
    """
    if not NAME.fullmatch(study):
        raise InputError(f"study: must match {NAME.pattern}, got {study!r}")
    root = out / study
    runs = [_run(found, run) for run in found.runs]
    by_id: dict[str, ImportedRun] = {}
    for run, source in zip(runs, found.runs, strict=True):
        other = by_id.setdefault(run.run_id, source)
        if other is not source:
            raise InputError(f"paths: {source.source} and {other.source} hold the same run")
    designs = {found.world.name: {run.condition: without(run.design, run.unknown) for run in found.runs}}
    stated = own_claims(own, designs, tuple(CLAIMS))
    text = _text(found, study, claims, own)
    described = Study(
        study,
        0,
        tuple(claims),
        _cells(found, runs),
        text,
        own_claims=stated,
        source=f"import of {found.world.tool}",
    )
    facts = provenance(described.in_force, now())
    part, made = part_of(root), not out.exists()
    try:
        for run, source in zip(runs, found.runs, strict=True):
            _write(part, run, source, {**facts, "imported": _facts(found.world, source)})
        write_study(part, described, runs, command)
        _check(part, runs, found)
        _place_study(part, root, replace_old=replace_old)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if made and out.exists() and not any(out.iterdir()):
            out.rmdir()
    return root


def _write(part: Path, run: Run, source: ImportedRun, facts: Mapping[str, Any]) -> None:
    try:
        write_run(part, run, _seeded(source), facts)
    except RecordError as error:
        raise RecordError(f"{_place(source)}: {error}") from None


def _check(part: Path, runs: Sequence[Run], found: Imported) -> None:
    """Read the records back; errors name what they were imported from.

    Raises:
        RecordError: They cannot be read as a study's records.
    """
    try:
        load(part)
    except RecordError as error:
        message = str(error)
        for run, source in zip(runs, found.runs, strict=True):
            message = message.replace(str(part / run.run_id), str(source.source))
        raise RecordError(message.replace(str(part), "records")) from None


def _place_study(part: Path, root: Path, *, replace_old: bool) -> None:
    """Give the finished folder its name, unless the same import or another study has it."""
    if not root.exists():
        part.rename(root)
        return
    imports = _is_import(root)
    if imports and _described(root) == _described(part) and _complete(root):
        return
    if not imports or not replace_old:
        offer = (
            "choose another --study or --out, or --replace it"
            if imports
            else "choose another --study or --out"
        )
        raise InputError(f"study: {root} holds another study; {offer}")
    old = root.with_name(f".{root.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    root.rename(old)
    part.rename(root)
    shutil.rmtree(old)


def _is_import(root: Path) -> bool:
    """Whether a folder holds an import's records and nothing that was run here."""
    there = (root / STUDY).exists()
    return there and all(world.get("world") == "imported" for world in read_study(root)["worlds"])


def _described(root: Path) -> dict[str, Any]:
    return {k: v for k, v in read_study(root).items() if k not in ("command", "claims_hash")}


def _complete(root: Path) -> bool:
    try:
        load(root)
    except RecordError:
        return False
    return True


def _run(found: Imported, run: ImportedRun) -> Run:
    tables = (run.tables.evals, run.tables.rounds, run.tables.groups)
    key = {
        "imported": _sha256(run.source),
        "row": run.row,
        "design": run.design.model_dump(mode="json"),
        "tables": [hashlib.sha256(t.write_csv().encode()).hexdigest() for t in tables],
    }
    own = [other.tables.evals for other in found.runs if other.condition == run.condition]
    measured = evaluation(_fewest(own, "train"), _fewest(own, "test"))
    seeds = range(run.seed, run.seed + 1)
    return Run(digest(key)[:16], found.world, run.condition, run.design, measured, 0, seeds)


def _sha256(source: Path) -> str:
    files = sorted(p for p in source.rglob("*") if p.is_file())
    return sha256_of(source) if source.is_file() else digest([sha256_of(p) for p in files])


def _fewest(runs: Sequence[pl.DataFrame], split: str) -> int | None:
    """Fewest responses of the last evaluation of a split over the runs of a condition."""
    parts = [part for evals in runs if (part := evals.filter(pl.col("split") == split)).height]
    sizes = [int(part.filter(pl.col("round") == part["round"].max())["n"].sum()) for part in parts]
    return min(sizes, default=None)


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


def _cells(found: Imported, runs: Sequence[Run]) -> tuple[Cell, ...]:
    first = {run.condition: run for run in reversed(runs)}
    return tuple(
        Cell(found.world, name, first[name].design, first[name].evaluation) for name in found.conditions()
    )


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
        content = f"{visible(run.source.name)}{place}, sha256 {_sha256(run.source)[:12]}"
        lines.append(f"# {run.condition}, seed {run.seed}: {content}")
    return "\n".join(lines) + "\n"
