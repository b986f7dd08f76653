"""Every bad study gets an error that names the table and the field, the constraint and the value."""

import time

import pytest
from support.study import LLM, LUMPED

import sims
from banditrft.design import Design, parse
from banditrft.errors import InputError
from banditrft.runs import expand
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
    "name of 300 characters": ('name = "small"', f'name = "{"a" * 300}"', r"^s: name: .*at most 200 characters, got '"),
    "condition of 300 characters": ('"placebo"', f'"{"p" * 300}"', r"^s: conditions\[2\]\.name: must have at most 200 characters, got 300$"),
    "condition that turns the terminal": ('"placebo"', r'"pla\u001b[2Jcebo"', r"^s: conditions\[2\]\.name: must hold only characters that can be seen, got 'pla\\x1b\[2Jcebo'$"),
    "condition that turns the text": ('"placebo"', r'"pla\u202ecebo"', r"conditions\[2\]\.name: must hold only .*, got 'pla\\u202ecebo'$"),
    "world that turns the text": ('world = "lumped"', r'world = "lumped"' + '\n' + r'name = "a\u2066b"', r"sim\[0\]\.name: must hold only characters that can be seen, got 'a\\u2066b'$"),
    "class that rings": ('"wrong"', r'"wro\u0007ng"', r"sim\[0\]\.classes\[1\]\.name: must hold only characters"),
    "model without an end": ('"tiny-qwen2"', f'"{"m" * 300}"', r"^s: llm\[0\]: model: must have at most 200 characters, got 300$"),
    "integer of 5,000 digits": ("seeds = 20", f"seeds = {'9' * 5000}", r"^s: is not valid TOML \(Exceeds the limit \(4300 digits\).{0,60}\)$"),
    "integer of 4,000 digits": ("seeds = 20", f"seeds = {'9' * 4000}", r"^s: seeds: .*, got an integer of 13288 bits$"),
    "step of 4,000 digits": ("learning_rate = 0.1", f"learning_rate = {'9' * 4000}", r"^s: design\.learning_rate: .{0,80}, got an integer of 13288 bits$"),
    "lists 2,000 deep": ("[design]", f"x = {'[' * 2000}{']' * 2000}\n[design]", r"^s: is not valid TOML \(it nests more than 32 levels deep\)$"),
    "tables 300 deep": ("[design]", f"x = {'{a = ' * 300}1{'}' * 300}\n[design]", r"^s: (x: must nest at most 32 levels deep|is not valid TOML)"),
    "lists 60 deep": ("[design]", f"x = {'[' * 60}{']' * 60}\n[design]", r"^s: x: must nest at most 32 levels deep$"),
    "keys of 100,000 parts": ("[design]", f"\na{'.a' * 100_000} = 1\n[design]", r"^s: line 7: a key must have at most 32 dotted parts$"),
    "quoted keys without end": ("[design]", "[" + ".".join(['"a b"'] * 50_000) + "]\n[design]", r"^s: line 6: a key must have at most 32 dotted parts$"),
    "seeds without end": ("seeds = 20", "seeds = 2147483647", r"^s: seeds: world 'lumped' would have 25,165,824 runs, a study at most 1,000,000$"),
    "range upside down": ("[0.1, 0.6]", "[0.6, 0.1]", r"llm\[0\]\.queries: base_pass_at_1: the range must rise"),
}  # fmt: skip


def test_integers_that_cannot_be_written_out_are_quoted_too():
    with pytest.raises(InputError, match=r"^rounds: .*, got a list of integers too long to be written out$"):
        parse(Design, {"learning_rate": 0.1, "rounds": [10**5000]})


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


def test_one_fault_does_not_hide_another():
    text = (
        GOOD.replace("seeds = 20", 'sedes = 20\nclaims_of_mine = "?"')
        .replace('reward = "random"', 'reward = "lucky"')
        .replace("rollouts = 4", "rollouts = 0\nrolouts = 4")
        .replace('world = "lumped"', 'world = "flat"')
    )
    with pytest.raises(InputError) as caught:
        parse_study(text, "s")
    fields = {line.split(": ")[1] for line in str(caught.value).splitlines()}
    assert fields == {
        "sedes",
        "claims_of_mine",
        "seeds",
        "sim[0].world",
        "conditions[1].rolouts",
        "conditions[1].rollouts",
        "conditions[2].reward",
    }


def test_a_study_of_4000_conditions_is_read_in_seconds():
    cut, end = LUMPED.index("[[conditions]]"), LUMPED.index("[[sim]]")
    many = "".join(f'[[conditions]]\nname = "c{i}"\nadam_eps = 1e-{i % 30 + 1}\n' for i in range(4000))
    started = time.process_time()
    study = parse_study(LUMPED[:cut] + many + LUMPED[end:])
    sims.check(study)
    assert len(expand(study, "sim")) == 4000
    assert time.process_time() - started < 10  # took minutes when each was compared with all


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
