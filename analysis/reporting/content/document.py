"""The report as plain data: what verdicts.json holds and what page and summary are rendered from."""

import math
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from analysis.claims.worlds import draws_a_world
from analysis.judging import ALPHA
from analysis.loading.records import Cell, Records
from analysis.reporting.content.closed_forms import predictions
from analysis.reporting.content.curves import bands, seeds
from analysis.reporting.content.disagreements import disagreements
from analysis.reporting.content.further import Further
from analysis.reporting.content.methods import assumptions, cautions, limits, methods
from analysis.reporting.content.model import Document, Provenance, Values, WorldData
from analysis.verdict import Verdict
from banditrft.claims import claims_hash, in_force
from banditrft.runs import digest
from banditrft.worlds import (
    ContextualWorld,
    ImportedWorld,
    LLMWorld,
    LumpedWorld,
    SequenceWorld,
    WorldSettings,
)

SCHEMA = 2


def document(records: Records, verdicts: list[Verdict], further: Further) -> Document:
    """Everything the report says, as JSON values.

    Args:
        records: Records of a study.
        verdicts: The verdicts on its claims.
        further: What else was read from the records.
    """
    study = records.study
    expected = tomllib.loads(study["text"]).get("expected")
    claims = in_force(study)
    content: Values = {
        "schema": SCHEMA,
        "study": study["name"],
        "alpha": ALPHA,
        "family": max((v.family for v in verdicts if not v.secondary), default=0),
        "verdicts": [plain(v.to_dict()) for v in verdicts],
        "predictions": predictions(records, verdicts),
        "claims": [plain(c.protocol()) | {"own": c.own is not None} for c in claims],
        "worlds": [world(records, w) for w in records.worlds.values() if records.of(w.name)],
        "bands": bands(records),
        "seeds": seeds(records),
        **plain(further.document()),
        "deviations": deviations(records),
        "cautions": cautions(records),
        "limits": limits(records, verdicts),
        "provenance": provenance(records),
        **({"expected": expected} if expected else {}),
    }
    known = cast(Document, content)
    known["assumptions"] = assumptions(known)
    known["disagreements"] = disagreements(known)
    known["methods"] = methods(known)
    return known


def plain(value: Any) -> Any:
    """What JSON reads back: tuples as lists, NumPy's numbers as Python's, None for what is not finite."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def world(records: Records, world: WorldSettings) -> WorldData:
    """One world with records: what it is, its conditions, runs, rounds and queries."""
    cells = records.of(world.name)
    first = next(iter(cells.values()))
    return {
        "name": world.name,
        "kind": world.kind,
        "imported": isinstance(world, ImportedWorld),
        "describes": _describe(world),
        "conditions": {name: cell.n for name, cell in cells.items()},
        "rounds": {n: c.design.rounds for n, c in cells.items() if "rounds" not in c.unknown},
        "pool": world.train_items if isinstance(world, LLMWorld) else None,
        "base": {str(q): p for q, p in sorted(first.base.items()) if math.isfinite(p)},
        "learning": {name: _learning(cell) for name, cell in cells.items()},
    }


def _learning(cell: Cell) -> str:
    optimizer = "unknown optimizer" if "optimizer" in cell.unknown else cell.design.optimizer
    unknown = "learning_rate" in cell.unknown
    return f"{optimizer}, {'unknown step' if unknown else f'step {cell.design.learning_rate:g}'}"


def _describe(world: WorldSettings) -> str:
    if isinstance(world, LumpedWorld):
        arms = world.num_arms
        size = f"{arms:,}" if arms < 1e6 else f"{arms:.3g}"
        return f"Softmax bandit of {size} arms in {len(world.classes)} classes, simulated exactly."
    if isinstance(world, ContextualWorld):
        return (
            f"Log-linear contextual policy in {world.dimension} dimensions: {_queries(world)}, "
            f"{world.test_items:,} test contexts{', each seed its own' * draws_a_world(world)}."
        )
    if isinstance(world, SequenceWorld):
        return (
            f"Sequence bandit of {world.length():,} tokens with {world.vocabulary:,} options each, geometry "
            f"'{world.geometry}', prefixes '{world.prefixes}', simulated exactly."
        )
    if isinstance(world, ImportedWorld):
        return (
            f"Logs of {world.tool} runs of {world.model or 'a model not named'} on "
            f"{world.task or 'a task not named'}, imported; nothing was run here."
        )
    questions = f"the questions of '{Path(world.train_file).name}'" if world.train_file else f"'{world.task}'"
    return f"Language model '{world.model}' on {questions}, really sampled and really trained."


def _queries(world: ContextualWorld) -> str:
    return "one training query" if world.train_items == 1 else f"{world.train_items:,} training queries"


def deviations(records: Records) -> list[str]:
    """What differs from what was registered."""
    absent = [name for name in records.worlds if not records.of(name)]
    found = [
        f"World '{name}' of the study has no records here: no verdict is given on it." for name in absent
    ]
    current = claims_hash(in_force(records.study))
    others = sorted({str(i.get("claims_hash")) for i in records.infos.values()} - {current})
    if others:
        found.append(
            f"{sum(str(i.get('claims_hash')) != current for i in records.infos.values())} runs were made "
            f"under other protocols than the ones applied here ({', '.join(others)} against {current}): "
            "read those verdicts as post hoc."
        )
    for name in ("banditrft", "torch", "numpy"):
        seen = sorted({str(i.get("versions", {}).get(name)) for i in records.infos.values()} - {"None"})
        if len(seen) > 1:
            found.append(f"Runs were made with several versions of {name}: {', '.join(seen)}.")
    commits = {i.get("commit") for i in records.infos.values()}
    if len(commits) > 1:
        found.append(f"Runs were made from {len(commits)} different source commits.")
    return found


def wall_seconds(infos: list[dict[str, Any]]) -> float | None:
    """Seconds during which at least one run was being made, from their times of start and finish."""
    spans = sorted(
        (datetime.fromisoformat(i["started"]).timestamp(), datetime.fromisoformat(i["finished"]).timestamp())
        for i in infos
        if "started" in i and "finished" in i
    )
    total, end = 0.0, float("-inf")
    for start, finish in spans:
        total += max(0.0, finish - max(start, end))
        end = max(end, finish)
    return total if spans else None


def provenance(records: Records) -> Provenance:
    """Hashes, seeds, versions, times and the command that makes the records again."""
    study, infos = records.study, list(records.infos.values())
    versions = {k: v for info in infos for k, v in info.get("versions", {}).items()}
    cells: list[Cell] = list(records.cells)
    seeds: dict[str, int] = {}
    for cell in cells:
        seeds[cell.world.name] = max(seeds.get(cell.world.name, 0), int(cell.seed.max()) + 1)
    return {
        "study_hash": digest(study["text"])[:16],
        "claims_hash": claims_hash(in_force(study)),
        "root_seed": study["root_seed"],
        "folders": len(infos),
        "runs": sum(c.n for c in cells),
        "seeds": seeds,
        "versions": dict(sorted(versions.items())),
        "commits": sorted({str(i.get("commit"))[:12] for i in infos if i.get("commit")}),
        "finished": max((str(i["finished"]) for i in infos if "finished" in i), default=None),
        "seconds": records.seconds,
        "wall_s": wall_seconds(infos),
        "command": study.get("command"),
        "text": study["text"],
    }
