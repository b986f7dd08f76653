"""Where the records come from, and where they differ from what was registered."""

from datetime import datetime
from typing import Any

from analysis.loading.records import Cell, Records
from banditrft.claims import claims_hash, in_force
from banditrft.runs import digest


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


def provenance(records: Records) -> dict[str, Any]:
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
