"""The report as plain data: what verdicts.json holds and what page and summary are rendered from."""

import math
import tomllib
from dataclasses import asdict
from typing import Any

import numpy as np

from analysis.judging import ALPHA
from analysis.loading.records import Records
from analysis.reporting.content.assumptions import assumptions
from analysis.reporting.content.bands import bands
from analysis.reporting.content.disagreements import disagreements
from analysis.reporting.content.further import Further
from analysis.reporting.content.limits import limits
from analysis.reporting.content.methods import methods
from analysis.reporting.content.origin import deviations, provenance
from analysis.reporting.content.predictions import predictions
from analysis.reporting.content.seeds import seeds
from analysis.reporting.content.worlds import world
from analysis.verdict import Verdict
from banditrft.claims import in_force

SCHEMA = 2


def document(records: Records, verdicts: list[Verdict], beside: Further) -> dict[str, Any]:
    """Everything the report says, as JSON values.

    Args:
        records: Records of a study.
        verdicts: The verdicts on its claims.
        beside: What else was read from the records.
    """
    study = records.study
    expected = tomllib.loads(study["text"]).get("expected")
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "study": study["name"],
        "alpha": ALPHA,
        "family": max((v.family for v in verdicts if not v.secondary), default=0),
        "verdicts": [plain(v.to_dict()) for v in verdicts],
        "predictions": predictions(records, verdicts),
        "claims": [plain(asdict(c)) for c in in_force(study)],
        "worlds": [world(records, w) for w in records.worlds.values() if records.of(w.name)],
        "bands": bands(records),
        "seeds": seeds(records),
        **plain(beside.document()),
        "deviations": deviations(records),
        "limits": limits(records, verdicts),
        "provenance": provenance(records),
        **({"expected": expected} if expected else {}),
    }
    content["assumptions"] = assumptions(content)
    content["disagreements"] = disagreements(content)
    content["methods"] = methods(content)
    return content


def plain(value: Any) -> Any:
    """What JSON reads back: tuples as lists, NumPy's numbers as Python's, None for what is not finite."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
