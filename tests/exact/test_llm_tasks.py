"""The arithmetic task: right answers, distinct prompts, disjoint sets, shapes that hold everything."""

import re

import pytest

from banditrft.errors import InputError
from llm_runs.tasks import load_task
from llm_runs.tasks.arithmetic import CHARACTERS, FAMILIES, SPLITS, Arithmetic

TASK = Arithmetic()
FORM = re.compile(r"(\d+)([-+*])(\d+)(?:-(\d+))?=\?")
COUNTS = {"one-digit": 891, "two-digit": 8100, "difference": 2450, "sum-minus": 17550, "three-digit": 810000,
          "product": 384}  # fmt: skip


def computed(prompt: str) -> int:
    """An independent reading of a prompt."""
    match = FORM.fullmatch(prompt)
    assert match is not None, prompt
    a, b, c = int(match[1]), int(match[3]), int(match[4] or 0)
    return {"+": a + b, "-": a - b, "*": a * b}[match[2]] - c


def test_sizes_are_the_documented_ones():
    assert {family.name: family.size for family in FAMILIES} == COUNTS


@pytest.mark.parametrize("split", SPLITS)
def test_answers_are_right_and_everything_fits(split):
    for item in TASK.items(split, 1200):
        assert int(item.answer) == computed(item.prompt)
        assert len(item.prompt) <= TASK.prompt_max
        problem = TASK.problem(item.index)
        assert len(f"{problem.work}#{item.answer}") + 1 <= TASK.max_new
        assert set(problem.work + item.prompt) <= set(CHARACTERS)
        # what the work ends in is the answer: its own sum or difference
        assert computed(problem.work + "=?") == int(item.answer) if "+" not in problem.work[problem.work.find("+") + 1:] \
            else sum(map(int, problem.work.split("+"))) == int(item.answer)  # fmt: skip


def test_every_prompt_occurs_once_and_sets_are_disjoint():
    seen: set[str] = set()
    total = 0
    for family in FAMILIES:
        if family.size > 20_000:
            continue
        spans = [set(family.span(split)) for split in SPLITS]
        assert sum(map(len, spans)) == family.size == len(set.union(*spans))
        seen |= {family.at(position).prompt for position in range(family.size)}
        total += family.size
    assert len(seen) == total
    large = FAMILIES[4]
    positions = [*range(0, 40_000, 7), *range(500_000, 540_000, 7)]
    assert len({large.at(position).prompt for position in positions}) == len(positions)


def test_sets_share_no_prompt():
    prompts = {split: {item.prompt for item in TASK.items(split, 400)} for split in SPLITS}
    assert not prompts["test"] & prompts["pool"]
    assert not (prompts["test"] | prompts["pool"]) & prompts["pretrain"]
    for split in SPLITS:
        assert all(TASK.split_of(index) == split for index in TASK.indices(split, 400))


def test_the_first_items_of_a_set_do_not_depend_on_how_many_are_asked_for():
    assert TASK.indices("pool", 500)[:40] == TASK.indices("pool", 40)
    assert [item.family for item in TASK.items("test", 6)] == [family.name for family in FAMILIES]


def test_items_are_fixed_for_ever():
    # Indices key random streams and records: these three may never change.
    assert [TASK.item(i).prompt for i in (9733, 491, 972232)] == ["41+22=?", "7*40=?", "993+768=?"]


@pytest.mark.parametrize("index", [-1, 6 * 891, 5 + 6 * 384])
def test_an_index_outside_the_item_space_is_an_error(index):
    with pytest.raises(InputError, match=f"item {index}"):
        TASK.item(index)


def test_errors_name_what_there_is():
    with pytest.raises(InputError, match="arithmetic"):
        load_task("algebra")
    with pytest.raises(InputError, match=r"train.*test, pool, pretrain"):
        TASK.indices("train", 1)
    with pytest.raises(InputError, match="holds"):
        TASK.indices("test", 10**7)


def test_sizes_of_the_sets_add_up():
    assert sum(TASK.size(split) for split in SPLITS) == sum(COUNTS.values())
    assert TASK.size("test") == sum(int(0.2 * n) for n in COUNTS.values())


@pytest.mark.parametrize(
    ("text", "share"), [("12+4#16", 4 / 7), ("#16", 0.0), ("16", 1.0), ("", 0.0), ("1#2#3", 3 / 5)]
)
def test_work_is_what_stands_before_the_last_mark(text, share):
    assert TASK.work_share(text) == share


def test_limits_can_be_set():
    task = load_task("arithmetic", prompt_max=12, max_new=30)
    assert (task.prompt_max, task.max_new) == (12, 30)
    assert (TASK.prompt_max, TASK.max_new) == (10, 24)
