"""GSM8K and MATH as their authors (and verl) wrote them, where BANDITRFT_DATA names the folder that has them."""

import os
from pathlib import Path

import polars as pl
import pytest

from llm_runs.graders import Gsm8k, Mathematics
from llm_runs.tasks import load_task
from llm_runs.tasks.listed import TEST

VARIABLE = "BANDITRFT_DATA"
DATA = Path(os.environ.get(VARIABLE, ""))
EMPTY = {5341: "", 5343: ""}
"""Items of MATH whose solution ends in an empty box."""
pytestmark = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"{VARIABLE} is not set: the real GSM8K and MATH files were not read"
)


@pytest.fixture(scope="module")
def gsm8k():
    return load_task(
        "gsm8k", train_file=str(DATA / "gsm8k/train.jsonl"), test_file=str(DATA / "gsm8k/test.verl.parquet")
    )


@pytest.fixture(scope="module")
def math():
    return load_task(
        "math",
        train_file=str(DATA / "math/train.verl.parquet"),
        test_file=str(DATA / "math/test.verl.parquet"),
    )


def test_gsm8k_has_the_documented_sizes(gsm8k):
    assert (gsm8k.size("pool"), gsm8k.size("test")) == (7473, 1319)
    assert gsm8k.item(TEST).answer == "18"


def test_math_has_the_documented_sizes(math):
    assert (math.size("pool"), math.size("test")) == (7500, 5000)
    assert math.item(0).family == "Algebra"


def test_our_prompts_are_those_of_the_files_in_verls_layout(gsm8k):
    bare = str(DATA / "gsm8k/test.jsonl")
    ours = load_task("gsm8k", train_file=bare, test_file=bare)
    assert [(i.prompt, i.answer) for i in ours.items("test", 1319)] == [
        (i.prompt, i.answer) for i in gsm8k.items("test", 1319)
    ]


def test_every_gsm8k_solution_is_right_by_its_own_answer(gsm8k):
    solutions = pl.read_ndjson(DATA / "gsm8k/train.jsonl")["answer"].to_list()
    grades = Gsm8k().grade_many(solutions, [item.answer for item in gsm8k.items("pool", 7473)])
    assert all(grade.strict and grade.lenient for grade in grades)


def test_every_math_answer_in_a_box_is_right_but_for_two_that_are_empty(math):
    items = [item for split in ("pool", "test") for item in math.items(split, math.size(split))]
    answers = [item.answer for item in items]
    with Mathematics() as grader:
        grades = grader.grade_many([rf"So it is $\boxed{{{answer}}}$." for answer in answers], answers)
    failed = {i.index: i.answer for i, g in zip(items, grades, strict=True) if not (g.strict and g.lenient)}
    assert failed == EMPTY


@pytest.mark.parametrize("name", ["gsm8k", "math"])
def test_prompts_end_with_how_to_answer(name, request):
    task = request.getfixturevalue(name)
    ending = {"gsm8k": 'the final answer after "####".', "math": r"the final answer within \boxed{}."}[name]
    for split in ("pool", "test"):
        assert all(item.prompt.endswith(ending) for item in task.items(split, task.size(split)))
