"""Pretraining is a function of the recipe and sees the pretraining set alone."""

import json
from collections import Counter

import pytest
import torch
from support.llm import TASK

import llm_runs
from banditrft.errors import InputError
from llm_runs.base_models import find_model
from llm_runs.graders.arithmetic import grade
from llm_runs.tiny import pretraining
from llm_runs.tiny.architecture import weights_of
from llm_runs.tiny.corpus import STYLES, Mixture, batch
from llm_runs.tiny.pretraining import IGNORED, ORIGINS, Recipe, tensors

pytestmark = pytest.mark.slow(6)

WORDS = ORIGINS["tiny-qwen2-words"]
CHARACTERS = ORIGINS["tiny-qwen2"].characters


@pytest.fixture(autouse=True)
def _quick_measurement(monkeypatch):
    """Measure new models on a few samples: their Pass@1 is not what is tested here."""
    monkeypatch.setattr(pretraining, "ITEMS", 12)
    monkeypatch.setattr(pretraining, "SAMPLES", 4)


def examples(spoiled, steps=60):
    return [e for step in range(steps) for e in batch([TASK], 1, step, 64, Mixture(), spoiled=spoiled)]


def answers():
    """Prompt -> answer, over every item of the small families and many of the others."""
    return {item.prompt: item.answer for item in TASK.items("pretrain", 40_000)}


def test_a_batch_is_a_function_of_seed_and_step():
    again = batch([TASK], 1, 5, 64, Mixture(), spoiled=True)
    assert batch([TASK], 1, 5, 64, Mixture(), spoiled=True) == again
    assert batch([TASK], 1, 6, 64, Mixture(), spoiled=True) != again
    assert batch([TASK], 2, 5, 64, Mixture(), spoiled=True) != again


def test_no_held_out_prompt_is_seen():
    held_out = {item.prompt for split in ("test", "pool") for item in TASK.items(split, 4000)}
    assert not held_out & {e.prompt for spoiled in (True, False) for e in examples(spoiled)}


def test_clean_targets_are_right_and_well_formed():
    known = answers()
    clean = examples(spoiled=False)
    checked = [e for e in clean if e.prompt in known]
    assert len(checked) > 1000
    assert all(grade(e.target, known[e.prompt]).strict and e.ends for e in checked)
    share = sum(not e.target.startswith("#") for e in clean) / len(clean)
    assert abs(share - 0.4) < 4 * (0.24 / len(clean)) ** 0.5


def test_the_last_phase_mixes_in_the_stated_flaws():
    known = answers()
    checked = [e for e in examples(spoiled=True, steps=120) if e.prompt in known]
    n = len(checked)
    formed = [e for e in checked if "#" in e.target]
    wrong = [e for e in formed if not grade(e.target, known[e.prompt]).strict]
    assert abs(1 - len(formed) / n - 0.3) < 4 * (0.21 / n) ** 0.5
    assert abs(len(wrong) / len(formed) - 0.15) < 4 * (0.1275 / len(formed)) ** 0.5
    rambling = [e for e in checked if not e.ends]
    assert all(len(e.target) == TASK.max_new for e in rambling)
    assert abs(len(rambling) / n - 0.15) < 4 * (0.1275 / n) ** 0.5


def words(spoiled, steps=60):
    return [e for step in range(steps) for e in batch(WORDS.tasks, 1, step, 64, Mixture(), spoiled=spoiled)]


def test_a_models_tasks_are_mixed_family_by_family():
    counts = Counter(example.task for example in words(spoiled=False))
    families = {task.name: len(task.families) for task in WORDS.tasks}
    assert counts.keys() == families.keys()
    n, all_families = counts.total(), sum(families.values())
    for name, count in families.items():
        share = count / all_families
        assert abs(counts[name] / n - share) < 4 * (share * (1 - share) / n) ** 0.5


@pytest.mark.parametrize("task", WORDS.tasks, ids=lambda task: task.name)
def test_no_held_out_prompt_of_any_task_is_seen(task):
    held_out = {
        item.prompt for split in ("test", "pool") for item in task.items(split, min(1700, task.size(split)))
    }
    assert not held_out & {e.prompt for spoiled in (True, False) for e in words(spoiled)}


@pytest.mark.parametrize("task", WORDS.tasks, ids=lambda task: task.name)
def test_spoiled_targets_of_every_task_are_what_the_mixture_says(task):
    """Malformed ones fail strictly whatever they say; wrong ones fail leniently too."""
    known = {item.prompt: item.answer for item in task.items("pretrain", min(40_000, task.size("pretrain")))}
    checked = [e for e in words(spoiled=True, steps=240) if e.prompt in known]
    grader = task.grader()
    grades = [grader.grade(e.target, known[e.prompt]) for e in checked]
    marked = [task.mark in e.target for e in checked]
    n = len(checked)
    assert n > 100
    assert abs(1 - sum(marked) / n - 0.3) < 4 * (0.21 / n) ** 0.5
    assert not any(grade.strict for grade, is_marked in zip(grades, marked, strict=True) if not is_marked)
    wrong = [grade for grade, is_marked in zip(grades, marked, strict=True) if is_marked and not grade.strict]
    assert abs(len(wrong) / sum(marked) - 0.15) < 4 * (0.1275 / sum(marked)) ** 0.5
    assert not any(grade.lenient for grade in wrong)
    assert all(len(e.target) == task.max_new for e in checked if not e.ends)


def test_wrong_letters_are_two_neighbours_exchanged():
    assert [STYLES["tiny-sort"].wrong("abcd", 0.0, by) for by in (0.0, 0.34, 0.99)] == [
        "bacd",
        "acbd",
        "abdc",
    ]


def test_a_wrong_fraction_has_another_numerator():
    assert STYLES["tiny-math"].wrong("7/8", 0.9, 0.0) == "8/8"
    assert STYLES["tiny-math"].wrong("7/8", 0.1, 0.0) == "6/8"


def test_the_schedule():
    recipe = Recipe()
    assert [recipe.spoiled_at(s) for s in (0, 1977, 1978, 2299)] == [False, False, True, True]
    assert recipe.learning_rate_at(0) == pytest.approx(recipe.learning_rate / 50)
    assert recipe.learning_rate_at(recipe.steps - 1) == pytest.approx(0.1 * recipe.learning_rate)
    rates = [recipe.learning_rate_at(s) for s in range(60, recipe.steps)]
    assert rates == sorted(rates, reverse=True)


def test_prompts_and_pads_carry_no_loss():
    some = batch([TASK], 1, 3, 16, Mixture(), spoiled=True)
    ids, labels = tensors(CHARACTERS, some)
    for row, marks, example in zip(ids.tolist(), labels.tolist(), some, strict=True):
        start, end = len(example.prompt), len(example.prompt) + len(example.target) + example.ends
        assert CHARACTERS.decode(row[:end]) == example.prompt + example.target
        assert marks[:start] == [IGNORED] * start
        assert marks[start:end] == row[start:end]
        assert marks[end:] == [IGNORED] * (len(marks) - end)


def test_the_same_command_gives_the_same_bytes(tmp_path):
    ticks = []
    folders = [
        llm_runs.train_base_model(
            "tiny-olmo2", tmp_path / n, seed=3, steps=3, progress=lambda *x: ticks.append(x)
        )
        for n in "ab"
    ]
    first, second = ((f / "model.safetensors").read_bytes() for f in folders)
    assert first == second
    assert [t[:2] for t in ticks] == [(1, 3), (2, 3), (3, 3)] * 2
    provenance = json.loads((folders[0] / "provenance.json").read_text())
    assert provenance["command"] == "banditrft base-model train tiny-olmo2 --out DIR --seed 3 --steps 3"
    assert provenance["seed"] == 3
    assert provenance["weights_sha256"] == llm_runs.weights_hash(str(folders[0]))
    assert find_model(str(folders[0])).parameters == provenance["parameters"]
    with pytest.raises(InputError, match="holds a model already"):
        llm_runs.train_base_model("tiny-olmo2", tmp_path / "a", steps=3)


def test_training_leaves_torch_as_it_was(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    llm_runs.train_base_model("tiny-llama", tmp_path / "m", steps=1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("where", "settings", "message"),
    [
        ("file", {}, "--out .*file is not a folder"),
        ("file/below", {}, "--out .*file is not a folder"),
        ("new", {"steps": 0}, "--steps: must be at least 1, got 0"),
        ("new", {"seed": -1}, "--seed: must lie in"),
    ],
)
def test_bad_input_is_found_before_training(tmp_path, monkeypatch, where, settings, message):
    monkeypatch.setattr("llm_runs.tiny.pretraining.fit", lambda *_: pytest.fail("trained"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message):
        llm_runs.train_base_model("tiny-llama", tmp_path / where, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_shipped_names_can_be_trained(tmp_path):
    with pytest.raises(InputError, match=", ".join(ORIGINS)):
        llm_runs.train_base_model("tiny-gpt", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_an_interrupted_training_leaves_no_model_and_starts_anew(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("llm_runs.tiny.pretraining._write_provenance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            llm_runs.train_base_model("tiny-llama", tmp_path / "m", steps=1)
    assert list((tmp_path / "m").iterdir()) == []
    folder = llm_runs.train_base_model("tiny-llama", tmp_path / "m", steps=1)
    assert weights_of(find_model(str(folder)))
    assert (folder / "provenance.json").exists()
