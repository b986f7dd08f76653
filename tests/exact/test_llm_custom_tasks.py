"""Tasks and graders that users bring: by dotted path, and by the entry point of an installed package."""

import sys
import textwrap

import pytest
from support.llm import world

from banditrft.design import Evaluation
from banditrft.errors import InputError
from banditrft.study import Cell, Study
from llm_runs.backends import BASE_ONLY
from llm_runs.graders import load_grader
from llm_runs.study import resolve
from llm_runs.tasks import load_task

CAPITALS = textwrap.dedent(
    '''
    """Capitals: half a point for the right country's second city."""

    from llm_runs.graders import Grade, Grader
    from llm_runs.tasks import Listed, Question


    class City(Grader):
        def grade(self, response, answer):
            right = response.strip() == answer
            return Grade(right, answer in response, score=1.0 if right else 0.5 * (response == "Milan"))


    class Capitals(Listed):
        name = "capitals"
        prompt_max = 16
        max_new = 4

        def questions(self, split):
            if split == "pool":
                return [Question.of("Capital of Italy?", "Rome"), Question.of("Capital of Peru?", "Lima")]
            return [Question.of("Capital of Chad?", "N'Djamena")]

        def grader(self):
            return City()


    class Broken(Capitals):
        def __init__(self):
            raise RuntimeError("no globe")


    class Unfinished(Listed):
        name = "unfinished"


    NOT_A_CLASS = 3
    not_a_task = dict
    '''
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution as pip would leave it: a module, and a dist-info folder with its entry points."""

    def install(*entries, name="cities"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[banditrft.tasks]\n" + "\n".join(entries) + "\n")

    (tmp_path / "city_tasks.py").write_text(CAPITALS)
    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("city_tasks", None)


@pytest.mark.parametrize("name", ["capitals", "city_tasks:Capitals"])
def test_a_task_is_found(package, name):
    package("capitals = city_tasks:Capitals")
    task = load_task(name)
    assert (task.name, task.prompt_max, task.max_new) == ("capitals", 16, 4)
    assert [item.prompt for item in task.items("pool", 2)] == ["Capital of Italy?", "Capital of Peru?"]
    assert task.items("test", 1)[0].answer == "N'Djamena"
    assert task.work_share("Rome") is None


def test_its_limits_can_be_set(package):
    assert load_task("city_tasks:Capitals", max_new=8).max_new == 8


@pytest.mark.parametrize(("response", "score"), [("Rome", 1.0), ("Milan", 0.5), ("Oslo", 0.0)])
def test_its_grader_gives_partial_credit(package, response, score):
    with load_task("city_tasks:Capitals").grader() as grader:
        assert grader.grade_many([response], ["Rome"])[0].score == score


def test_a_grader_by_dotted_path(package):
    assert load_grader("city_tasks:City").grade("Lima", "Lima").strict


def test_an_unknown_task_is_answered_with_those_installed(package):
    package("capitals = city_tasks:Capitals")
    with pytest.raises(InputError, match=r"^task: must be one of arithmetic, capitals, file, .*got 'chess'$"):
        load_task("chess")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Task", r"'no_such_module:Task' cannot be imported \(ModuleNotFoundError: "),
        ("city_tasks:Rivers", r"'city_tasks:Rivers' cannot be imported \(AttributeError: "),
        ("city_tasks:Broken", r"'city_tasks:Broken' cannot be made \(RuntimeError: no globe\)"),
        ("city_tasks:Unfinished", r"'city_tasks:Unfinished' cannot be made \(TypeError: "),
        ("city_tasks:NOT_A_CLASS", "'city_tasks:NOT_A_CLASS' must be a class or function, got int"),
        ("city_tasks:not_a_task", "'city_tasks:not_a_task' must make a Task, got dict"),
        (":", r"':' cannot be imported \(ValueError: "),
    ],
)
def test_what_is_no_task_is_named(package, name, message):
    with pytest.raises(InputError, match=rf"^task: {message}"):
        load_task(name)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("name = None", "name must be text, got None"),
        ("max_new = '8'", "max_new must be a number of tokens, at least 1, got '8'"),
        ("prompt_max = 0", "prompt_max must be a number of tokens, at least 1, got 0"),
        ("grader = lambda self: 'exact'", r"grader\(\) must give a Grader, got str"),
        ("grader = lambda self: 1 / 0", r"grader\(\) failed \(ZeroDivisionError: division by zero\)"),
    ],
)
def test_a_task_with_a_fault_is_refused_when_it_is_opened(tmp_path, monkeypatch, body, message):
    (tmp_path / "odd_towns.py").write_text(CAPITALS + f"\n\nclass Odd(Capitals):\n    {body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(InputError, match=rf"^task: 'odd_towns:Odd': {message}$"):
            load_task("odd_towns:Odd")
    finally:
        sys.modules.pop("odd_towns", None)


def test_a_task_in_the_script_itself_is_refused():
    with pytest.raises(
        InputError, match="must stand in a module, which workers can import, got '__main__:Task'"
    ):
        load_task("__main__:Task")


def test_a_name_offered_twice_is_refused(package):
    package("capitals = city_tasks:Capitals")
    package("capitals = city_tasks:Broken", name="towns")
    with pytest.raises(InputError, match="'capitals' is offered more than once"):
        load_task("capitals")


def test_a_custom_task_reads_no_files(package):
    with pytest.raises(InputError, match="only gsm8k, math, file read files"):
        load_task("city_tasks:Capitals", grader="gsm8k")


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "towns_here.py").write_text(CAPITALS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    assert load_task("towns_here:Capitals").name == "capitals"
    sys.modules.pop("towns_here")


def test_an_unknown_module_is_told_where_to_stand():
    with pytest.raises(InputError, match=r"must be the current one or stand in PYTHONPATH\)$"):
        load_task("no_such_module:Task")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("'Rome'", "must give a list of Question, got str"),
        ("[('Capital of Italy?', 'Rome')]", "must give a list of Question, got tuple in place 0"),
        (
            "[Question('Capital of Italy?', 'Rome')]",
            "question 0: messages must be a tuple of Message, got 'Capital of Italy",
        ),
        (
            "[Question(('Capital of Italy?',), 'Rome')]",
            "question 0: messages must be a tuple of Message, got ",
        ),
        ("[{}['Italy']]", r"failed \(KeyError: 'Italy'\)"),
        ("[Question.of('1 + 1?', 2)]", "question 0: messages and answer must be text, got "),
    ],
)
def test_questions_of_the_wrong_kind_are_named(tmp_path, monkeypatch, given, message):
    code = f"class Wrong(Capitals):\n    def questions(self, split):\n        return {given}\n"
    (tmp_path / "wrong_towns.py").write_text(CAPITALS + "\n\n" + code)
    monkeypatch.syspath_prepend(tmp_path)
    task = load_task("wrong_towns:Wrong")
    sys.modules.pop("wrong_towns")
    with pytest.raises(InputError, match=rf"^task: 'capitals': questions\('pool'\):? {message}"):
        task.size("pool")


SUMS = textwrap.dedent(
    """
    from llm_runs.graders import load_grader
    from llm_runs.tasks import Listed, Question

    OFFSET = 1


    class Sums(Listed):
        name = "sums"
        prompt_max = 10
        max_new = 24

        def questions(self, split):
            first = 3 if split == "pool" else 7
            return [Question.of(f"{n}+{OFFSET}=", str(n + OFFSET)) for n in range(first, first + 2)]

        def grader(self):
            return load_grader("arithmetic")
    """
)


@pytest.mark.parametrize("chosen", [{"train_items": 2}, {"queries": {"items": (0,), "samples": 2}}])
def test_kept_queries_are_looked_up_again_when_a_task_has_changed(tmp_path, monkeypatch, chosen):
    (tmp_path / "sum_tasks.py").write_text(SUMS)
    monkeypatch.syspath_prepend(tmp_path)
    settings = world(task="sum_tasks:Sums", test_items=2, **chosen)
    study = Study("s", 0, (), (Cell(settings, "c", BASE_ONLY, Evaluation()),), "")
    try:
        first = resolve(study, tmp_path, write=True)
        assert resolve(study, tmp_path, write=False) == first
        sys.modules["sum_tasks"].OFFSET = 2
        second = resolve(study, tmp_path, write=False)[settings.name]
    finally:
        sys.modules.pop("sum_tasks", None)
    kept = first[settings.name]
    assert second.test_hash != kept.test_hash
    assert (second.pool_hash, second.queries) != (kept.pool_hash, kept.queries)
