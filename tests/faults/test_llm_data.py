"""Data files: both layouts are read as they are; what does not fit is named by file, row and field."""

import json

import polars as pl
import pytest

from banditrft.errors import InputError
from llm_runs.graders import Gsm8k, Mathematics
from llm_runs.tasks import Message, load_task
from llm_runs.tasks.data import Question, read_questions, read_responses
from llm_runs.tasks.files import Files
from llm_runs.tasks.listed import check_answers, leaked

ASK = 'How many? Let\'s think step by step and output the final answer after "####".'


def json_lines(path, *rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def verl_row(**changes):
    return {
        "data_source": "openai/gsm8k",
        "prompt": [{"content": ASK, "role": "user"}],
        "ability": "math",
        "reward_model": {"ground_truth": "18", "style": "rule"},
        "extra_info": {"index": 0, "split": "test"},
        **changes,
    }


def parquet(path, *rows):
    pl.DataFrame(list(rows)).write_parquet(path)
    return path


def test_questions_from_json_lines(tmp_path):
    row = {"question": "How many?", "answer": "9 * 2 = <<9*2=18>>18\n#### 18", "level": 3}
    path = json_lines(tmp_path / "a.jsonl", row)
    message = (Message("user", "How many?"),)
    assert read_questions(path, Gsm8k().reference) == [Question(message, "18", {"level": 3}, bare=True)]
    assert read_questions(path)[0].answer == row["answer"]  # as it is, unless told otherwise


def test_questions_from_verls_parquet(tmp_path):
    system = [{"content": "Be brief.", "role": "system"}, {"content": ASK, "role": "user"}]
    path = parquet(tmp_path / "a.parquet", verl_row(), verl_row(prompt=system))
    first, second = read_questions(path, Gsm8k().reference)
    assert (first.messages, first.answer) == ((Message("user", ASK),), "18")
    assert first.extra == {
        "data_source": "openai/gsm8k",
        "ability": "math",
        "extra_info": {"index": 0, "split": "test"},
    }
    assert second.messages == (Message("system", "Be brief."), Message("user", ASK))


def test_questions_as_chats(tmp_path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1=?"}]
    path = json_lines(tmp_path / "a.jsonl", {"messages": chat, "answer": "2", "level": 1})
    asked = (Message("system", "Be brief."), Message("user", "1+1=?"))
    assert read_questions(path) == [Question(asked, "2", {"level": 1})]
    json_lines(path, {"messages": [*chat, {"role": "assistant", "content": "2"}], "answer": "2"})
    with pytest.raises(
        InputError, match=r"row 1: messages: the last must be the question; its answer stands in answer$"
    ):
        read_questions(path)


def test_what_is_wrong_with_many_rows_is_said_at_once(tmp_path):
    rows = [{"question": "How?", "answer": 72}, {"text": "?"}, "{\n", *[{"question": None}] * 20]
    with pytest.raises(InputError) as caught:
        read_questions(json_lines(tmp_path / "bad.jsonl", *rows))
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (11, "and 13 rows more")
    assert lines[0].endswith('row 1: answer: must be a string, got int; write it in quotes, "72"')
    assert lines[1].endswith("got the fields 'text'")
    assert "row 3: must be a JSON object" in lines[2]


def test_both_files_are_looked_at(tmp_path):
    bad = json_lines(tmp_path / "train.jsonl", {"q": 1})
    with pytest.raises(
        InputError, match=r"train\.jsonl: row 1: question: is missing; (.|\n)*nowhere\.jsonl: cannot be read"
    ):
        load_task("file", train_file=str(bad), test_file=str(tmp_path / "nowhere.jsonl"), grader="gsm8k")


def test_responses(tmp_path):
    rows = [{"response": "\x00\ud800 #### 1", "answer": "1"}, {"response": "", "answer": "#### 2", "more": 1}]
    path = json_lines(tmp_path / "a.jsonl", *rows)
    assert read_responses(path, Gsm8k().reference) == [("\x00\ud800 #### 1", "1"), ("", "2")]


GOOD = {"response": "a", "answer": "1"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "must hold at least one row, got none"),
        ((GOOD, "\n", GOOD), r"row 2: must be a JSON object \(Expecting value\)"),
        ((GOOD, "{\n"), "row 2: must be a JSON object"),
        (("[1]\n",), "row 1: must be a JSON object, got list"),
        (("null\n",), "row 1: must be a JSON object, got null"),
        (("[" * 100_000 + "\n",), "row 1: must be a JSON object"),
        (('{"response": ' + "1" * 10_000 + "}\n",), "row 1: must be a JSON object"),
        ((GOOD, {"answer": "1"}), "row 2: response: is missing"),
        ((GOOD, {"response": "a"}), "row 2: answer: is missing"),
        (({"response": None, "answer": "1"},), "row 1: response: must be a string, got null"),
        (({"response": "a", "answer": 1},), "row 1: answer: must be a string, got int"),
        ((GOOD, {"response": "a", "answer": "one"}), "row 2: answer: must be a number or end in"),
    ],
)
def test_bad_json_lines(tmp_path, rows, message):
    path = json_lines(tmp_path / "bad.jsonl", *rows)
    with pytest.raises(InputError, match=rf"^\S*bad\.jsonl: {message}") as caught:
        read_responses(path, Gsm8k().reference)
    assert "\n" not in str(caught.value)


def test_bad_encoding(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"response": "a", "answer": "1"}\n{"response": "\xff", "answer": "1"}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl: row 2: must be a JSON object"):
        read_responses(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": None}, "row 2: prompt: must be a list of messages, at least one"),
        ({"prompt": []}, "row 2: prompt: must be a list of messages, at least one"),
        ({"prompt": [{"content": None, "role": "user"}]}, "row 2: prompt: every message needs a role"),
        (
            {"reward_model": {"ground_truth": None, "style": "rule"}},
            "row 2: reward_model.ground_truth: must be",
        ),
        ({"reward_model": None}, "row 2: reward_model.ground_truth: is missing"),
        ({"reward_model": {"ground_truth": "x", "style": "rule"}}, "row 2: answer: must be a number"),
    ],
)
def test_bad_verl_rows(tmp_path, changes, message):
    path = parquet(tmp_path / "bad.parquet", verl_row(), verl_row(**changes))
    with pytest.raises(InputError, match=rf"bad\.parquet: {message}"):
        read_questions(path, Gsm8k().reference)


@pytest.mark.parametrize("fields", [("question", "answer"), ("problem", "solution")])
def test_bare_questions_from_parquet(tmp_path, fields):
    row = dict(zip(fields, ("How many?", r"So \boxed{18}."), strict=True))
    path = parquet(tmp_path / "a.parquet", row | {"type": "Algebra"})
    with Mathematics() as grader:
        (question,) = read_questions(path, grader.reference)
    assert question == Question((Message("user", "How many?"),), "18", {"type": "Algebra"}, bare=True)


def test_chats_from_json_lines(tmp_path):
    (question,) = read_questions(json_lines(tmp_path / "a.jsonl", verl_row()), Gsm8k().reference)
    assert (question.messages, question.answer, question.bare) == ((Message("user", ASK),), "18", False)


def test_other_layouts(tmp_path):
    path = parquet(tmp_path / "other.parquet", {"query": "How many?", "answer": "18"})
    with pytest.raises(
        InputError,
        match=r"other\.parquet: row 1: question: is missing; a row has \"question\" and \"answer\", .*got the fields 'query', 'answer'",
    ):
        read_questions(path)
    path = json_lines(tmp_path / "other.jsonl", {"question": "How many?", "answer": "1"}, {"prompt": "How?"})
    with pytest.raises(InputError, match=r"other\.jsonl: row 2: prompt: must be a list of messages"):
        read_questions(path)


def test_an_empty_parquet_file(tmp_path):
    empty = tmp_path / "empty.parquet"
    pl.DataFrame({"prompt": []}).write_parquet(empty)
    with pytest.raises(InputError, match=r"empty\.parquet: must hold at least one row"):
        read_questions(empty)


@pytest.mark.parametrize("name", ["gone.jsonl", "gone.parquet", "folder.jsonl", "broken.parquet", "a.csv"])
def test_unreadable_files(tmp_path, name):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no parquet PAR1")
    (tmp_path / "a.csv").write_text("question,answer\n")
    with pytest.raises(
        InputError, match=rf"{name}: (cannot be read|must be a \.jsonl or \.parquet)"
    ) as caught:
        read_questions(tmp_path / name)
    assert "\n" not in str(caught.value)


def files(tmp_path, train, test):
    for name, rows in (("train", train), ("test", test)):
        lines = [json.dumps({"question": question, "answer": answer}) for question, answer in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    return Files("file", str(tmp_path / "train.jsonl"), str(tmp_path / "test.jsonl"), "math")


@pytest.mark.parametrize(
    ("train", "test", "places"),
    [
        ([("1+1?", "2"), ("1+1?", "3")], [("2+2?", "4")], "pool question 1 and pool question 2"),
        (
            [("2+2?", "4")],
            [("1+1?", "2"), ("1 +1?", "5"), (" 1 +1?  ", "6")],
            "test question 2 and test question 3",
        ),
        ([("a  b", "1")], [("a\nb", "2")], "pool question 1 and test question 1"),
    ],
)
def test_one_question_has_one_answer(tmp_path, train, test, places):
    with pytest.raises(InputError, match=f"{places} ask the same and must have one answer, got"):
        check_answers(files(tmp_path, train, test))


def test_test_questions_that_are_trained_on_are_said(tmp_path):
    task = files(tmp_path, [("1+1?", "2"), ("2+2?", "4"), ("2+2?", "4")], [("3+3?", "6"), ("2+2? ", "4")])
    check_answers(task)
    assert "1 of the 2 test questions of 'file' can also be trained on, the first as pool question" in leaked(
        task
    )
    assert leaked(files(tmp_path, [("1+1?", "2")], [("3+3?", "6")])) is None
