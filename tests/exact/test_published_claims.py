"""The tables of docs/results/sim/claims.md are those of the data beside them."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from banditrft.claims import CLAIMS, PROTOCOL

FOLDER = Path(__file__).parents[2] / "docs" / "results" / "sim"


@pytest.fixture(scope="module")
def claims():
    spec = importlib.util.spec_from_file_location("published_claims", FOLDER / "claims.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published(version):
    return json.loads((FOLDER / f"protocol-{version}.json").read_text(encoding="utf-8"))


def test_the_page_is_what_the_script_writes(claims):
    text = (FOLDER / "claims.md").read_text(encoding="utf-8")
    assert claims.page(text, claims.known()) == text


def test_every_claim_of_the_protocol_in_force_is_there():
    rows = published(PROTOCOL)["verdicts"]
    assert {r["claim"] for r in rows} == set(CLAIMS)
    for row in rows:
        assert row["verdict"] == row["readings"]["papers"]


def test_verdicts_over_all_worlds_are_not_counted(claims):
    rows = claims.known()
    own = [r for r in rows if r["world"] != "all worlds"]
    assert len(own) == 31
    assert re.match(rf"\d+ of {len(own)} verdicts are as expected\.", claims.count(rows))
    assert all(r["derived"] and r["expected"] is None for r in rows if r["world"] == "all worlds")


def test_protocol_1_stands_as_it_was_published():
    rows = published(1)["verdicts"]
    assert len(rows) == 40
    agreed = [r["verdict"] == r["expected"] for r in rows]
    independent = [a for a, r in zip(agreed, rows, strict=True) if r["world"] != "all worlds"]
    assert (sum(agreed), sum(independent), len(independent)) == (26, 22, 31)
