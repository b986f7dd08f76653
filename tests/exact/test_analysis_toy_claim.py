"""A type of claim is its settings, its reader, its words and its test: nothing else has to know of it.

The toy claims that runs end at a level of test Pass@1. Its settings would stand in `banditrft/claims/protocols.py`,
its reader in a module of `analysis/claims/` that lists it in `TYPES`, its words as a row of
`analysis.wording.parts.WORDS`; all that a study goes through then follows. Its table, for a study that states it
itself, would stand in `banditrft/claims/own.py`, in its `TYPES`.
"""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from support.claims import cell, contextual, design, records

from analysis import claims as readers
from analysis.claims.cases import Found, Type
from analysis.claims.reading import Band, Measured, detectable
from analysis.claims.worlds import each_tested, first_cell, named, points
from analysis.inference.means import mean_of
from analysis.judging import verdicts
from analysis.planning.components import component
from analysis.planning.seeds import plan
from analysis.reporting.figures.forest import card, forests
from analysis.results import Setting
from analysis.wording import parts as words
from banditrft import claims
from banditrft.claims import Claim, Fields, claims_hash, lacking, own
from banditrft.claims.protocols import ADAM
from banditrft.study import parse_study

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class EndsAt(Claim):
    """A claim that runs end at a level of test Pass@1."""

    where: Fields = ADAM
    level: float = 0.5
    margin: float = 0.02


class EndsAtTable(own.Own):
    """A ends at a level of test Pass@1; margin: around it, in probability."""

    makes = EndsAt
    preregisters = ("final test Pass@1", "TOST", "supported inside")

    type: Literal["ends-at"]
    a: own.Pick
    level: own.OpenProbability
    margin: own.OpenProbability

    def parameters(self) -> dict[str, Any]:
        return {"level": self.level, "margin": self.margin}


def groups(of, kind, _):
    return each_tested(of, kind, single_query=True)


def read(of, group, claim):
    """Select, measure, band."""
    if claim.own is None:
        chosen = first_cell(of, group.world, claim.where)
    else:
        chosen = named(of, group.world, claim.own.conditions[0], "test")
    found = mean_of(chosen.test)
    band = Band(claim.level - claim.margin, claim.level + claim.margin)
    part = Measured(
        id="end",
        kind="difference",
        world=group.world,
        conditions=(chosen.condition,),
        test=found,
        band=band,
        n=found.n,
        units="runs",
        replicate=chosen.replicate,
        points=points(np.stack([chosen.query, chosen.seed], axis=1), chosen.test),
        split="test",
        comparator="level",
        setting=Setting(threshold=claim.level),
        at=detectable(found, band),
    )
    return Found([part], [chosen])


SAID = words.Words(
    label=lambda of: f"Final test Pass@1 against {of.setting.threshold:g}",
    sentence=lambda _: "Two one-sided t tests over runs.",
    detail=lambda _: "By hand.",
)
TOY = EndsAt("T1", "Runs end at one half.", "here", "none", "final test Pass@1", "TOST", "supported inside")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(claims.CLAIMS, "T1", TOY)
    monkeypatch.setitem(own.TYPES, "ends-at", EndsAtTable)
    monkeypatch.setitem(readers.TYPES, EndsAt, Type(EndsAt, read, groups, "no test world"))
    monkeypatch.setitem(words.WORDS, ("difference", "final", "level"), SAID)


@pytest.mark.parametrize(("end", "word"), [(0.5, "supported"), (0.7, "refuted")])
def test_a_toy_claim_is_judged_worded_drawn_and_planned(end, word):
    of = records(["T1", "A2"], cell(contextual(), "G=1", design(), test=end))
    toy, other = verdicts(of)
    assert (toy.verdict, toy.family, other.claim) == (word, 2, "A2")
    told = json.loads(json.dumps(toy.to_dict()))
    assert told["parts"][0]["label"] == told["decided_by"]["label"] == "Final test Pass@1 against 0.5"
    assert told["summary"] == f"Final test Pass@1 against 0.5: {told['estimate'] * 100:+.2f} points ({word})."
    document = {"verdicts": [told], "predictions": {}}
    assert [f.caption for f in forests(document)] == ["T1: Final test Pass@1 against 0.5"]
    assert card(told, told["parts"][0]).body
    assert component(of, toy.parts[0]).expects == "supported"
    assert {p.claim for p in plan(of, {"contextual": 8})} == {"T1", "A2"}


def test_a_toy_claim_is_hashed_and_checked_before_a_study_runs():
    assert claims_hash(["T1"]) != claims_hash(["A2"])
    assert TOY.protocol()["level"] == 0.5
    assert "own" not in TOY.protocol()
    assert lacking(TOY, {"G=1": design()}) is None


def test_a_world_that_cannot_test_it_says_why():
    (found,) = verdicts(records(["T1"], cell(contextual(items=8), "G=1", design())))
    assert found.summary == "Not tested: no world with a test set that the claim is about."


STUDY = """
name = "small"
seeds = 8
[design]
learning_rate = 0.1
rounds = 40
[[conditions]]
name = "G=1"
[[sim]]
world = "contextual"
[[own_claims]]
id = "half"
type = "ends-at"
statement = "Runs end at one half."
a = "G=1"
level = 0.5
margin = 0.02
"""


@pytest.mark.parametrize(("end", "word"), [(0.5, "supported"), (0.7, "refuted")])
def test_a_study_may_state_it_itself(end, word):
    (claim,) = parse_study(STUDY).own_claims
    assert (claim.level, claim.own.conditions) == (0.5, ("G=1",))
    of = records([], cell(contextual(), "G=1", design(), test=end))
    of.study["own_claims"] = [claim.settings]
    (found,) = verdicts(of)
    assert (found.claim, found.verdict, len(found.parts)) == ("half", word, 1)
    assert component(of, found.parts[0]).expects == "supported"


def test_types_of_claims_are_named_where_contributing_sends_a_reader():
    """A type that another file knows by name has to be added there too."""
    names = {of.__name__ for of in readers.TYPES} - {"EndsAt"}
    for room in ("banditrft", "sims", "llm_runs", "analysis"):
        for path in (ROOT / room).rglob("*.py"):
            where = path.relative_to(ROOT).parts
            if where[:2] not in {("banditrft", "claims"), ("analysis", "claims")}:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                assert not names & {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}, path


def test_docs_list_every_table_and_its_fields():
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    table = text.partition("| type | fields")[2].partition("\n\n")[0].splitlines()[2:]
    rows = {row.split("|")[1].strip(" `"): row.split("|")[2] for row in table}
    assert list(rows) == [name for name in own.TYPES if name != "ends-at"]
    for name, fields in rows.items():
        said = {word.strip(" `") for word in fields.replace("(optional)", "").split(",")}
        assert said == set(own.TYPES[name].model_fields) - set(own.Own.model_fields) - {"margin"}, name
