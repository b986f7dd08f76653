"""Closed forms beside each component: a range for a ratio, one value for the test set."""

from typing import Any

from analysis.loading.records import Records
from analysis.reporting.content import forecasts
from analysis.verdict import Verdict
from banditrft.claims import in_force


def predictions(records: Records, verdicts: list[Verdict]) -> dict[str, Any]:
    """Closed forms by "claim:world:component"; None where there is none."""
    claims = {claim.id: claim for claim in in_force(records.study)}
    found: dict[str, Any] = {}
    for verdict in verdicts:
        for part in verdict.parts:
            if part.kind == "ratio":
                target = float(getattr(claims[verdict.claim], "pass_at_1", 0.9))
                for world in (part.world, *(s.world for s in part.secondary if s.world)):
                    values = forecasts.ratio(records, world, part.conditions, target)
                    ends = None if values is None else {"low": values[0], "high": values[1]}
                    found[f"{verdict.claim}:{world}:{part.id}"] = ends
            elif (part.estimand, part.split) == ("final", "test") and part.comparator in (
                "base",
                "condition",
            ):
                cells = [records.of(part.world)[name] for name in part.conditions]
                key = f"{verdict.claim}:{part.world}:{part.id}"
                if key not in found:
                    found[key] = forecasts.test_change(*cells) if len(cells) == 2 else forecasts.gain(*cells)
    return found
