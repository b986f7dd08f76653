"""The report as plain data: what verdicts.json holds and what the page is rendered from."""

import tomllib
from dataclasses import asdict
from datetime import datetime
from typing import Any

from analysis.claims.finding import groups
from analysis.judging import ALPHA
from analysis.loading import Cell, Records
from analysis.reporting import forecasts
from analysis.verdict import Verdict
from banditrft.claims import claims_hash, get_claims
from banditrft.runs import digest
from banditrft.worlds import ContextualWorld, LLMWorld, LumpedWorld, WorldSettings

SCHEMA = 1


def document(records: Records, verdicts: list[Verdict]) -> dict[str, Any]:
    """Everything the report says, as JSON values."""
    study = records.study
    expected = tomllib.loads(study["text"]).get("expected")
    return {
        "schema": SCHEMA,
        "study": study["name"],
        "alpha": ALPHA,
        "family": max((v.family for v in verdicts), default=0),
        "verdicts": [_plain(v.to_dict()) for v in verdicts],
        "predictions": _predictions(records, verdicts),
        "claims": [_plain(asdict(c)) for c in get_claims(study["claims"])],
        "worlds": [_world(records, w) for w in records.worlds.values() if records.of(w.name)],
        "deviations": _deviations(records),
        "limits": _limits(records, verdicts),
        "provenance": _provenance(records),
        **({"expected": expected} if expected else {}),
    }


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what is rendered is what JSON reads back."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _predictions(records: Records, verdicts: list[Verdict]) -> dict[str, Any]:
    """Closed forms for each component, by world: a range for a ratio, one value for the test set."""
    found: dict[str, Any] = {}
    for verdict in verdicts:
        for part in verdict.parts:
            if part.kind == "ratio":
                claim = next(c for c in get_claims([verdict.claim]))
                target = float(getattr(claim, "pass_at_1", 0.9))
                for world in (part.world, *(s.world for s in part.secondary if s.world)):
                    values = forecasts.ratio(records, world, part.conditions, target)
                    ends = None if values is None else {"low": values[0], "high": values[1]}
                    found[f"{world}:{part.id}"] = ends
            elif part.kind == "difference" and part.id != "gain-train":
                cells = [records.of(part.world)[name] for name in part.conditions]
                key = f"{part.world}:{part.id}"
                if key not in found:
                    found[key] = forecasts.test_change(*cells) if len(cells) == 2 else forecasts.gain(*cells)
    return found


def _world(records: Records, world: WorldSettings) -> dict[str, Any]:
    cells = records.of(world.name)
    first = next(iter(cells.values()))
    return {
        "name": world.name,
        "kind": world.kind,
        "describes": _describe(world),
        "conditions": {name: cell.n for name, cell in cells.items()},
        "rounds": {name: cell.design.rounds for name, cell in cells.items()},
        "pool": world.train_items if isinstance(world, LLMWorld) else None,
        "base": {str(q): p for q, p in sorted(first.base.items())},
        "learning": {
            name: f"{cell.design.optimizer}, step {cell.design.learning_rate:g}"
            for name, cell in cells.items()
        },
    }


def _describe(world: WorldSettings) -> str:
    if isinstance(world, LumpedWorld):
        arms = world.num_arms
        size = f"{arms:,}" if arms < 1e6 else f"{arms:.3g}"
        return f"Softmax bandit of {size} arms in {len(world.classes)} classes, simulated exactly."
    if isinstance(world, ContextualWorld):
        return (
            f"Log-linear contextual policy in {world.dimension} dimensions: {_queries(world)}, "
            f"{world.test_items:,} test contexts."
        )
    return f"Language model '{world.model}' on '{world.task}', really sampled and really trained."


def _queries(world: ContextualWorld) -> str:
    return "one training query" if world.train_items == 1 else f"{world.train_items:,} training queries"


def _deviations(records: Records) -> list[str]:
    """What differs from what was registered."""
    absent = [name for name in records.worlds if not records.of(name)]
    found = [
        f"World '{name}' of the study has no records here: no verdict is given on it." for name in absent
    ]
    ids = records.study["claims"]
    current = claims_hash(ids)
    others = sorted({str(i.get("claims_hash")) for i in records.infos.values()} - {current})
    if others:
        found.append(
            f"{sum(str(i.get('claims_hash')) != current for i in records.infos.values())} runs were "
            "made under other "
            f"protocols than the ones applied here ({', '.join(others)} against {current}): read those "
            "verdicts as "
            f"post hoc."
        )
    for name in ("banditrft", "torch", "numpy"):
        seen = sorted({str(i.get("versions", {}).get(name)) for i in records.infos.values()} - {"None"})
        if len(seen) > 1:
            found.append(f"Runs were made with several versions of {name}: {', '.join(seen)}.")
    commits = {i.get("commit") for i in records.infos.values()}
    if len(commits) > 1:
        found.append(f"Runs were made from {len(commits)} different source commits.")
    return found


def _limits(records: Records, verdicts: list[Verdict]) -> list[str]:
    found = []
    models = [w for w in records.worlds.values() if isinstance(w, LLMWorld) and records.of(w.name)]
    tiny = [w for w in models if w.model.startswith("tiny-")]
    for world in tiny:
        found.append(
            f"'{world.model}' is a tiny model pretrained from scratch on '{world.task}': its verdicts "
            "are a tiny "
            "model's, no evidence about a pretrained model of billions of parameters. Part of what "
            "such a model "
            f"learns from one query is the answer's format."
        )
    if any(w.train_items is None for w in models):
        found.append(
            "Statements are for these queries: seeds are replicates, queries were chosen by base "
            "Pass@1 and are few."
        )
    if any(isinstance(w, ContextualWorld) and records.of(w.name) for w in records.worlds.values()):
        found.append(
            "Intervals of a contextual world are over seeds, given the drawn world: all seeds share one test "
            "set and one pair of directions. Another root seed moves test Pass@1, and differences in it, "
            "by more than the intervals say."
        )
    steps = sorted({p.counts["step"] for v in verdicts for p in v.parts if p.kind == "ratio"})
    if steps:
        found.append(
            "Hitting times are known to within one evaluation step "
            f"({', '.join(f'{s:g}' for s in steps)} rounds); the "
            "ratio places them at random inside the step, and the same ratio with times rounded up "
            "stands among "
            "the sensitivities."
        )
    if steps:
        found.append(
            "The ratio takes one factor to stretch the whole distribution of times. Where the "
            "conditions also differ "
            "in spread it is an average that leans towards late runs: read the ratio of medians beside it."
        )
    if verdicts:
        found.append(
            "Evaluations are sampled: a run near the threshold may cross it late by chance, which is why "
            "two consecutive "
            "evaluations are asked for and why .95 and .99 are sensitivities only."
        )
    if any(g.kind == "sim" and g.train and g.test for g in groups(records)):
        found.append(
            "The simulated world is two worlds: hitting times and A1 read the lumped bandit, which "
            "has no test set; "
            "the test set belongs to the contextual policy."
        )
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


def _provenance(records: Records) -> dict[str, Any]:
    study, infos = records.study, list(records.infos.values())
    versions = {k: v for info in infos for k, v in info.get("versions", {}).items()}
    cells: list[Cell] = list(records.cells)
    seeds: dict[str, int] = {}
    for cell in cells:
        seeds[cell.world.name] = max(seeds.get(cell.world.name, 0), int(cell.seed.max()) + 1)
    return {
        "study_hash": digest(study["text"])[:16],
        "claims_hash": claims_hash(study["claims"]),
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
