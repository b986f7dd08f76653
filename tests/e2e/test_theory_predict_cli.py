"""`banditrft predict` as a user meets it: what it prints, its JSON, its figure, its errors."""

import json
import re

import pytest
from click.testing import CliRunner

from banditrft.cli.predict import command
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.predict import hitting_ratio, predict, predict_contextual
from banditrft.theory.budget import best_split
from banditrft.theory.generalisation import base_held_out, held_out
from banditrft.worlds import ContextualWorld

GRPO = "--p0 0.1 --rollouts 4 --signal grpo --optimizer sgd --learning-rate 0.5 --target 0.9"
STUDY = """
name = "small"
seeds = 4
root_seed = 1

[[sim]]
world = "contextual"
name = "one"
base_pass_at_1 = 0.1

[[sim]]
world = "contextual"
name = "pool"
train_items = 32
base_pass_at_1 = "any"

[[conditions]]
name = "batch"
signal = "batch-centered"
rollouts = 4
learning_rate = 0.003
rounds = 60

[[conditions]]
name = "G=4"
rollouts = 4
learning_rate = 0.003
rounds = 60
"""


def call(flags, fails=False):
    done = CliRunner().invoke(command, flags.split(), standalone_mode=False)
    if fails:
        assert isinstance(done.exception, InputError), done.output
        return str(done.exception)
    assert done.exception is None, done.exception
    return done.output


def as_json(flags):
    return json.loads(call(f"{flags} --json"))


def grpo(**fields):
    values = {"rollouts": 4, "signal": "grpo", "optimizer": "sgd", "learning_rate": 0.5, "rounds": 1000}
    return Design(**values | fields)


def test_spending_and_spread():
    found = as_json(f"{GRPO} --tokens-per-rollout 200 --baseline-rollouts 3 --batch-size 2")
    alone = predict(grpo(baseline_rollouts=3, batch_size=2), p0=0.1, target=0.9)
    assert found["mean_rounds"] == alone.mean_rounds
    assert found["rollouts_mean"] == pytest.approx(alone.mean_rounds * 2 * 7)
    assert found["tokens_mean"] == pytest.approx(found["rollouts_mean"] * 200)
    assert found["quantiles"]["0.05"] < found["mean_rounds"] < found["quantiles"]["0.95"]
    assert as_json(GRPO)["tokens_mean"] is None


def test_neighbours():
    found = as_json(f"{GRPO} --budget 64")["what_if"]
    kind = {"p0": 0.1, "num_arms": 1000, "target": 0.9}
    assert found["double_rollouts"]["rounds_ratio"] == pytest.approx(
        hitting_ratio(grpo(), grpo(rollouts=8), **kind)
    )
    assert found["double_rollouts"]["compute_ratio"] == pytest.approx(
        2 / found["double_rollouts"]["rounds_ratio"]
    )
    assert found["double_batch"]["rounds_ratio"] == pytest.approx(
        hitting_ratio(grpo(), grpo(batch_size=2), **kind)
    )
    raw, matched = grpo(signal="raw"), grpo(match_step_size=True)
    assert found["advantage"] == pytest.approx(hitting_ratio(raw, grpo(), **kind), rel=0.02)
    assert found["advantage_matched"] == pytest.approx(hitting_ratio(raw, matched, **kind), rel=0.02)
    # theory §3: at p = .1 and G = 4 grpo's drift is 1.690 raw's with ddof 0, sqrt(3/4) of it with ddof 1
    assert found["matching_factor"] == pytest.approx(1 / (1.690 * (3 / 4) ** 0.5), rel=1e-3)
    best = best_split(grpo(), [0.1] * 256, 64, sharing=0.1, arm_noise=1.0)
    assert (found["best_split"]["batch_size"], found["best_split"]["rollouts"]) == (
        best.batch_size,
        best.rollouts,
    )
    assert as_json(f"{GRPO} --no-what-if")["what_if"] is None
    adam = as_json("--p0 0.1 --rollouts 4 --signal grpo --learning-rate 0.1 --target 0.9")["what_if"]
    assert (adam["advantage_matched"], adam["matching_factor"]) == (None, None)
    assert adam["advantage"] < 0.7  # an advantage costs rounds in a tabular bandit under Adam


def test_contextual_world_by_flags():
    flags = "--p0 0.05 --rollouts 4 --learning-rate 0.003 --contextual --transfer 1.5 --misalignment 0.5"
    world = ContextualWorld(seeds=1, base_pass_at_1=0.05, transfer=1.5, misalignment=0.5)
    found = as_json(flags)
    d = Design(rollouts=4, learning_rate=0.003, rounds=1000)
    assert found["mean_rounds"] == predict_contextual(d, world).mean_rounds
    ceiling = found["ceiling"]
    assert ceiling["base_test_pass_at_1"] == pytest.approx(base_held_out(world))
    assert ceiling["test_pass_at_1"] == pytest.approx(held_out(world, 0.05, 0.99, "adam"))
    edge = ceiling["hardest_gain"]
    assert held_out(world, edge, 0.99, "adam") == pytest.approx(base_held_out(world), abs=1e-5)
    assert held_out(world, edge + 0.05, 0.99, "adam") > base_held_out(world)
    assert ceiling["forgets_below"] == pytest.approx(1 / (1 + 2.718281828 ** (0.5**2 / 0.3)), rel=1e-6)
    assert as_json(GRPO)["ceiling"] is None
    assert "belongs to --contextual" in call(f"{GRPO} --transfer 2", fails=True)
    none = as_json("--p0 0.1 --learning-rate 0.003 --contextual --transfer 0")["ceiling"]
    assert none["hardest_gain"] is None


def test_text_for_people():
    text = call(f"{GRPO} --clip-low 0.1 --budget 16")
    for words in (
        "rounds",
        "sd over seeds",
        "twice the rollouts",
        "speed over raw, matched",
        "best split",
        "inert",
    ):
        assert words in text
    assert "[" not in text


def test_study_table_covers_pools_and_says_what_has_no_closed_form(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    cells = {(c["world"], c["condition"]): c for c in as_json(f"{path} --what-if --target 0.9")["cells"]}
    one, pool = cells["one", "G=4"], cells["pool", "G=4"]
    assert one["what_if"]["double_rollouts"]["rounds_ratio"] > 1
    assert pool["mean_rounds"] > one["mean_rounds"]
    assert pool["what_if"]["double_batch"]["rounds_ratio"] > 1
    assert (pool["sd_rounds"], pool["ceiling"]) == (None, None)
    assert cells["pool", "batch"]["method"] is None
    text = call(f"{path} --target 0.9")
    assert "pool, batch: no closed form: signal" in text
    assert re.search(r"one +G=4 +mean-field", text)
    call(f"{path} --target 0.9 --plot {tmp_path / 'a.svg'}")


@pytest.mark.parametrize(
    "flags", [GRPO, "--p0 0.1 --learning-rate 0.1", "--p0 0.1 --optimizer sgd --learning-rate 1.0"]
)
def test_figure_depends_on_the_numbers_alone(tmp_path, flags):
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        call(f"{flags} --rounds 80 --plot {path} --no-what-if")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_text().count("<g id=") > 20
    call(f"{flags} --rounds 81 --plot {second} --no-what-if")
    assert first.read_bytes() != second.read_bytes()
    assert "--plot: must name an .svg file" in call(f"{flags} --plot {tmp_path / 'a.png'}", fails=True)


@pytest.mark.parametrize(
    ("flags", "start"),
    [
        ("--p0 0.1 --learning-rate 0.1 --reward random", "reward: a placebo"),
        ("--p0 0.1 --learning-rate 0.1 --tokens-per-rollout -1", "tokens_per_rollout"),
        ("--p0 0.1 --learning-rate 0.1 --shared -1", "shared"),
        ("--p0 0.1 --learning-rate 0.1 --budget 0", "budget"),
        ("--p0 0.1 --learning-rate 0.1 --num-correct 1000", "num_arms"),
        ("--learning-rate 0.1", "--p0: is required"),
    ],
)
def test_bad_values_are_named(flags, start):
    assert call(flags, fails=True).startswith(start)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("quick --num-arms 10", "--num-arms: STUDY says it"),
        ("quick --shared 0", "--shared: STUDY says it"),
        ("quick --contextual", "--contextual: STUDY says it"),
        ("quick --dimension 5", "--dimension: STUDY says it"),
        (f"{GRPO} --contextual --num-arms 10", "--num-arms: belongs to the tabular world"),
        (f"{GRPO} --transfer 1", "--transfer: belongs to --contextual"),
        ("--p0 .1 --learning-rate 1e300", "learning_rate: times 2"),
        ("--p0 1e-300 --learning-rate .1 --rollouts 4", "p0: a round must teach"),
        (
            "--p0 .1 --learning-rate .1 --rollouts 4096 --signal grpo --baseline-rollouts 100000",
            "up to 8192 rewards",
        ),
    ],
)
def test_flags_that_do_not_apply_or_compute_are_named(flags, name):
    assert name in call(flags, fails=True)


def test_every_flag_that_is_offered_can_be_used():
    assert (
        as_json(f"{GRPO} --dual-clip 3 --updates-per-round 1")["mean_rounds"] == as_json(GRPO)["mean_rounds"]
    )
    assert as_json(f"{GRPO} --aggregation dapo")["mean_rounds"] == as_json(GRPO)["mean_rounds"]
    assert as_json("--p0 .1 --num-arms 100000000000000000000 --learning-rate .1")["mean_rounds"] > 0
    assert as_json("--p0 .999 --learning-rate 1e-6 --contextual")["mean_rounds"] == 0


def test_the_range_of_the_mean_is_shown():
    found = as_json(GRPO)
    low, high = found["mean_range"]
    assert low < found["mean_rounds"] < high
    exact = as_json("--p0 .1 --optimizer sgd --learning-rate .5")
    assert exact["mean_range"] == [exact["mean_rounds"]] * 2
    assert "mean lies within" in call(GRPO)


def test_help_says_what_the_flags_mean():
    help_ = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    for words in (
        "distinct responses",
        "kappa",
        "|mu|, what all queries have in common",
        "not of a language model's weights",
    ):
        assert words in help_
