"""Tables of a study's own claims that cannot be read: one error, naming the field."""

import pytest
from support.analysis import study, write
from support.records import edit_json

from analysis import load
from banditrft.claims.own import TYPES
from banditrft.errors import InputError, RecordError
from banditrft.study import parse_study

STUDY = """
name = "x"
seeds = 4
[design]
learning_rate = 0.1
rounds = 40
[[conditions]]
name = "G=1"
[[conditions]]
name = "G=4"
rollouts = 4
[[conditions]]
name = "G=16"
rollouts = 16
[[sim]]
world = "contextual"
[[own_claims]]
id = "U"
statement = "as stated"
"""
FASTER = {"type": '"faster"', "a": '"G=4"', "b": '"G=1"', "margin": "1.2"}
TREND = {
    "type": '"trend"',
    "conditions": '["G=1", "G=4", "G=16"]',
    "field": '"rollouts"',
    "margin": "0.01",
}
OPTIMUM = TREND | {"type": '"optimum"', "at": "4", "margin": "2"}


def text(table):
    return STUDY + "\n".join(f"{k} = {v}" for k, v in table.items())


def test_the_tables_below_are_whole():
    assert [parse_study(text(t)).own_claims[0].settings["type"] for t in (FASTER, TREND, OPTIMUM)] == [
        "faster",
        "trend",
        "optimum",
    ]


WRONG = [
    (FASTER | {"type": '"quicker"'}, f"own_claims[0].type: must be one of {', '.join(TYPES)}, got 'quicker'"),
    ({k: v for k, v in FASTER.items() if k != "margin"}, "own_claims[0].margin: is required"),
    ({k: v for k, v in FASTER.items() if k != "b"}, "own_claims[0].b: is required"),
    (FASTER | {"margin": "0.5"}, "own_claims[0].margin: input should be greater than or equal to 1, got 0.5"),
    (FASTER | {"threshhold": "0.8"}, "own_claims[0].threshhold: is not a known key"),
    (FASTER | {"a": '"G=5"'}, "own_claims[0].a: must be a condition (G=1, G=4, G=16), got 'G=5'"),
    (FASTER | {"a": "{rollout = 4}"}, "own_claims[0].a.rollout: is not a known key"),
    (FASTER | {"a": "{signal = 'raw'}"}, "own_claims[0].a: must fit one condition"),
    (FASTER | {"a": "{}"}, "own_claims[0].a: needs at least one field, got none"),
    (FASTER | {"b": '"G=4"'}, "own_claims[0].b: must be another condition than a, got 'G=4' twice"),
    (FASTER | {"b": "{rollouts = 4}"}, "own_claims[0].b: must be another condition than a, got 'G=4' twice"),
    (FASTER | {"worlds": '["lumped"]'}, "own_claims[0].worlds: known are contextual, got 'lumped'"),
    (
        TREND | {"field": '"signal"'},
        "own_claims[0].field: must be a design field with a number, got 'signal'",
    ),
    (TREND | {"field": '"batch_size"'}, "own_claims[0].conditions: must differ in batch_size, all above 0"),
    (
        TREND | {"conditions": '["G=1", "G=4", "G=9"]'},
        "own_claims[0].conditions: known are G=1, G=4, G=16, got",
    ),
    (
        TREND | {"conditions": '["G=1", "G=4"]'},
        "own_claims[0].conditions: need at least 3 that differ in rollouts, got 2",
    ),
    (OPTIMUM | {"at": "16"}, "own_claims[0].at: must be one of [4.0], not an end, got 16"),
]


@pytest.mark.parametrize(("table", "message"), WRONG)
def test_a_wrong_table_is_one_error(table, message):
    with pytest.raises(InputError) as error:
        parse_study(text(table))
    (line,) = str(error.value).splitlines()
    assert message in line


def test_an_id_of_the_ledger_is_taken():
    with pytest.raises(InputError, match=r"own_claims\[0\].id: must be an id of its own, got 'A1'"):
        parse_study(text(FASTER).replace('id = "U"', 'id = "A1"'))


def test_expected_verdicts_may_name_own_claims():
    expected = text(FASTER).replace("[design]", '[expected]\nU = "supported"\n[design]')
    assert parse_study(expected).expects("U", "contextual") == "supported"


def test_records_whose_own_claims_are_none_are_refused(tmp_path):
    root = write(tmp_path, study(sim_seeds=2, llm_seeds=0))
    edit_json(root / "study.json", lambda said: said | {"own_claims": [{"id": "U", "type": "better"}]})
    with pytest.raises(RecordError, match=r"study.json: .*own_claims.type: must be one of"):
        load(root)
