"""The three tasks of the `-words` models: right answers, distinct prompts, disjoint sets, fitting shapes."""

import re
from fractions import Fraction

import pytest

from banditrft.errors import InputError
from llm_runs.tasks import load_task
from llm_runs.tiny.corpus import STYLES
from llm_runs.tiny.pretraining import ORIGINS

TASKS = {name: load_task(name) for name in ("tiny-gsm", "tiny-math", "tiny-sort")}
CHARACTERS = ORIGINS["tiny-qwen2-words"].characters
SIZES = {
    "tiny-gsm": {"more": 20_416, "left": 13_376, "groups": 2560, "then": 29_184},
    "tiny-math": {"solve": 4320, "add": 648, "compute": 2304},
    "tiny-sort": {"four": 43_680, "five": 524_160, "six": 5_765_760},
}
EACH = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def some(task, split):
    return task.items(split, min(2400, task.size(split)))


def numbers(text):
    return [int(digits) for digits in re.findall(r"\d+", text)]


def answer_to(prompt: str) -> str:
    """An independent reading of a prompt."""
    if prompt.startswith("Sort: "):
        return "".join(sorted(prompt.removeprefix("Sort: ")))
    found = numbers(prompt)
    if prompt.startswith("Solve"):
        a, b, c = found
        return str(Fraction(c - b, a))
    if prompt.startswith("Add"):
        a, d, b, e = found
        return str(Fraction(a, d) + Fraction(b, e))
    if "(" in prompt:
        a, b, c = found
        return str(a * (b + c))
    if "bags" in prompt:
        return str(found[0] * found[1])
    signs = {"has": 1, "had": 1, "buys": 1, "lost": -1}
    verbs = [signs[word] for word in re.findall("|".join(signs), prompt)]
    return str(sum(sign * number for sign, number in zip(verbs, found, strict=True)))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Tom has 12 figs, buys 7. How many?", "19"),
        ("Eva has 12 cups, buys 5, lost 3. How many?", "14"),
        ("Ann had 31 nuts, lost 8. How many?", "23"),
        ("Sam has 4 bags of 17 pens. How many?", "68"),
        ("Solve 3x+4=19.", "5"),
        ("Add 2/19+5/19.", "7/19"),
        ("Find 3(4+5).", "27"),
        ("Sort: dbca", "abcd"),
    ],
)
def test_the_independent_reading_is_right_by_hand(prompt, answer):
    assert answer_to(prompt) == answer


@EACH
def test_sizes_are_the_documented_ones(task):
    assert {family.name: family.size for family in task.families} == SIZES[task.name]


@EACH
@pytest.mark.parametrize("split", ["test", "pool", "pretrain"])
def test_answers_are_right(task, split):
    for item in some(task, split):
        assert item.answer == answer_to(item.prompt), item.prompt
        assert task.split_of(item.index) == split


@EACH
def test_everything_fits_and_is_written_in_the_models_characters(task):
    style = STYLES[task.name]
    for split in ("test", "pool", "pretrain"):
        for item in some(task, split):
            target = style.worked.format(work=task.problem(item.index).work, answer=item.answer)
            assert len(CHARACTERS.encode(item)) <= task.prompt_max
            assert len(CHARACTERS.encode_text(target)) + 1 <= task.max_new


@EACH
def test_right_targets_are_right_with_and_without_work(task):
    style = STYLES[task.name]
    with task.grader() as grader:
        for item in task.items("pool", 200):
            work = task.problem(item.index).work
            for form in (style.direct, style.worked):
                grade = grader.grade(form.format(work=work, answer=item.answer), item.answer)
                assert (grade.strict, grade.lenient, grade.score) == (True, True, 1.0)
            grade = grader.grade(style.unmarked.format(work=work, answer=item.answer), item.answer)
            assert (grade.strict, grade.lenient, grade.score) == (False, True, 0.0)


@EACH
def test_every_prompt_occurs_once(task):
    prompts = [
        family.at(position).prompt for family in task.families for position in range(min(family.size, 20_000))
    ]
    assert len(set(prompts)) == len(prompts)


@EACH
def test_every_index_belongs_to_one_set(task):
    for family in task.families:
        spans = [set(family.span(split)) for split in task.splits]
        assert sum(map(len, spans)) == len(set.union(*spans)) == family.size


@pytest.mark.parametrize(("name", "text", "share"), [
    ("tiny-gsm", "12+7=19 #### 19", 8 / 15),
    ("tiny-math", r"3*9, \boxed{27}", 5 / 15),
    ("tiny-sort", "d,bd,bcd=abcd", 8 / 13),
    ("tiny-sort", "=abcd", 0.0),
    ("tiny-gsm", "19", 1.0),
])  # fmt: skip
def test_work_is_what_stands_before_the_mark(name, text, share):
    assert TASKS[name].work_share(text) == pytest.approx(share)


def test_items_are_fixed_for_ever():
    # Indices key random streams and records: these may never change.
    found = {
        name: [item.prompt for item in task.items("pool", len(task.families))] for name, task in TASKS.items()
    }
    assert found == {
        "tiny-gsm": [
            "Ida has 3 toys, buys 12. How many?",
            "Max had 11 pins, lost 7. How many?",
            "Ida has 2 bags of 9 pens. How many?",
            "Ann has 15 pins, buys 9, lost 3. How many?",
        ],
        "tiny-math": ["Solve 2k+5=13.", "Add 1/23+9/23.", "Compute 5(6+2)."],
        "tiny-sort": ["Sort: lfcm", "Sort: oiced", "Sort: oicebk"],
    }


@EACH
def test_an_index_outside_the_item_space_is_an_error(task):
    for index in (-1, len(task.families) * max(family.size for family in task.families)):
        with pytest.raises(InputError, match=f"item {index}"):
            task.item(index)
