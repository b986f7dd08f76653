"""Every bad study gets an error that names the table and the field, the constraint and the value."""

import pytest
from study_fixtures import LLM, LUMPED

from banditrft.errors import InputError
from banditrft.study import load_study, parse_study

GOOD = LUMPED + LLM
BAD = {
    "unknown key in design": ("rounds = 20", "rounds = 20\nfoo = 1", r"^s: design\.foo: is not a known key$"),
    "unknown key of the file": ("seeds = 20", "seeds = 20\nsedes = 3", r"^s: sedes: is not a known key$"),
    "negative rollouts": ("rollouts = 4", "rollouts = -4", r"conditions\[1\]\.rollouts: .*at least|conditions\[1\]\.rollouts: .*greater than or equal to 1, got -4"),
    "GRPO without a group": ('name = "G=1"', 'name = "G=1"\nsignal = "grpo"', r"conditions\[0\]\.signal: 'grpo' compares.*rollouts = 1"),
    "mass above 1": ("mass = 0.7", "mass = 1.7", r"sim\[0\]\.classes\[1\]\.mass: .*less than or equal to 1, got 1\.7"),
    "masses that do not sum to 1": ("mass = 0.7", "mass = 0.8", r"classes: masses must sum to 1, got 1\.1"),
    "unknown claim": ('"A5"', '"A99"', r"claims: known are A1, .*, B7, got A99"),
    "verdict expected of no claim": ("[design]", '[expected]\nA2 = "refuted"\n[design]', r"^s: expected\.A2: must name a claim of this study, got 'refuted' for 'A2'$"),
    "verdict expected in no world": ("[design]", '[expected]\n"A1/mars" = "refuted"\n[design]', r"^s: expected\.A1/mars: must name a world of this study, got 'mars'$"),
    "verdict that is no word": ("[design]", '[expected]\nA1 = "true"\n[design]', r"^s: expected\.A1: .*got 'true'$"),
    "unknown world": ('world = "lumped"', 'world = "flat"', r"sim\[0\]\.world: known are .*got 'flat'"),
    "text for a number": ("learning_rate = 0.1", 'learning_rate = "fast"', r"design\.learning_rate: .*valid number, got 'fast'"),
    "infinite step": ("learning_rate = 0.1", "learning_rate = inf", r"design\.learning_rate: .*finite"),
    "two conditions of one name": ('name = "G=4"', 'name = "G=1"', r"conditions\[0\]\.name: names must differ, got 'G=1' twice"),
    "unsupported design": ("rounds = 20", 'rounds = 20\naggregation = "bnpo"', r"design\.aggregation: 'micro-batch-mean' needs the world's micro_batch"),
    "bad world table of a condition": ('reward = "random"', 'reward = "random"\nsim = 4', r"conditions\[2\]\.sim: must be a table"),
    "name that leaves the folder": ('name = "small"', 'name = "../small"', r"^s: name: .*got '\.\./small'$"),
    "name with a line break": ('name = "small"', 'name = "a\\nsmall"', r"^s: name: .*got 'a\\nsmall'$"),
    "claim twice": ('["A1", "A5"]', '["A1", "A1"]', r"^s: claims: each may stand there once, got \['A1', 'A1'\]$"),
    "class that is a number": ("classes = [", "classes = [7, ", r"^s: sim\[0\]\.classes\[0\]: .*got 7$"),
    "classes that are numbers": ("classes = [", "classes = [7]\nfoo = [", r"classes\[0\]: .*got 7\ns: sim\[0\]\.foo: is not a known key$"),
    "one table for many": ("[[sim]]", "[sim]", r"^s: sim: should be a list, got"),
    "world named as a field": ('world = "lumped"', 'world = "lumped"\nname = "rounds"', r"sim\[0\]\.name: must not be .*a known key, got 'rounds'"),
    "world without a name": ('world = "lumped"', 'world = "lumped"\nname = ""', r"sim\[0\]\.name: must not be empty"),
    "rate that is a word": ("rounds = 20", 'rounds = 20\nrate = "half"', r"^s: design\.rate: .*got 'half'"),
    "class that is never drawn": ("mass = 0.3, reward = 1}, {name = \"wrong\", arms = 999, mass = 0.7", "logit = 800.0, reward = 1}, {name = \"wrong\", arms = 999, logit = 0.0", r"classes: log-masses must lie within 600"),
    "range upside down": ("[0.1, 0.6]", "[0.6, 0.1]", r"llm\[0\]\.queries: base_pass_at_1: the range must rise"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_error_names_the_field(case):
    old, new, message = BAD[case]
    assert old in GOOD
    with pytest.raises(InputError, match=message):
        parse_study(GOOD.replace(old, new, 1), "s")


def test_empty_conditions():
    text = GOOD[: GOOD.index("[[conditions]]")] + GOOD[GOOD.index("[[sim]]") :]
    with pytest.raises(InputError, match="s: conditions: is required"):
        parse_study(text, "s")
    with pytest.raises(InputError, match=r"s: conditions: .*at least 1 entry, got 0"):
        parse_study(text.replace("[design]", "conditions = []\n[design]"), "s")


def test_all_errors_at_once():
    text = (
        GOOD.replace("mass = 0.7", "mass = 1.7")
        .replace('"A5"', '"A99"')
        .replace("rounds = 20", "rounds = 20\nfoo=1")
    )
    with pytest.raises(InputError) as caught:
        parse_study(text, "s")
    assert len(str(caught.value).splitlines()) == 3


def test_files_that_are_no_studies(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml: cannot be read"):
        load_study(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("rounds = = 3")
    with pytest.raises(InputError, match=r"bad\.toml: is not valid TOML .*line 1"):
        load_study(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.toml: cannot be read as a study file"):
        load_study(tmp_path / "binary.toml")


def test_expected_verdicts_are_the_claims_or_the_worlds():
    text = GOOD.replace("[design]", '[expected]\nA1 = "supported"\n"A1/lumped" = "refuted"\n[design]')
    study = parse_study('description = "Small."\n' + text)
    assert study.description == "Small."
    assert [study.expects("A1", w) for w in ("lumped", "elsewhere")] == ["refuted", "supported"]
    assert study.expects("A5", "lumped") is None
