"""Tasks read from files and from a cache laid out like the hub's: order, prompts, answers, limits, families."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest

from banditrft.errors import InputError
from banditrft.worlds import LLMWorld
from llm_runs.graders import Gsm8k, Mathematics
from llm_runs.tasks import Item, Message, fitting, load_task, prompt_ids, task_of
from llm_runs.tasks.listed import TEST
from llm_runs.tokenizers import Characters

GSM8K = 'Let\'s think step by step and output the final answer after "####".'
MATH = r"Let's think step by step and output the final answer within \boxed{}."


def json_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Two files of GSM8K's layout: two questions to train on, one held out."""
    train = [{"question": f"{n} + 1?", "answer": f"so\n#### {n + 1}"} for n in (3, 5)]
    return {
        "train_file": json_lines(tmp_path / "train.jsonl", *train),
        "test_file": json_lines(tmp_path / "test.jsonl", {"question": "7 + 1?", "answer": "8"}),
    }


def test_a_task_keeps_the_order_of_its_files(files):
    task = load_task("gsm8k", **files)
    assert [item.answer for item in task.items("pool", 2)] == ["4", "6"]
    assert (task.size("pool"), task.size("test")) == (2, 1)
    assert task.indices("pool", 2) == [0, 1]
    assert task.indices("test", 1) == [TEST]
    assert [task.split_of(index) for index in (1, TEST)] == ["pool", "test"]


def test_gsm8k_says_how_to_answer(files):
    assert load_task("gsm8k", **files).item(TEST) == Item(TEST, f"7 + 1? {GSM8K}", "8")


def test_math_says_how_to_answer_and_keeps_the_type(tmp_path):
    row = {"problem": "$7+1$?", "solution": r"It is $\boxed{8}$.", "type": "Algebra", "level": "Level 1"}
    path = json_lines(tmp_path / "a.jsonl", row)
    task = load_task("math", train_file=path, test_file=path)
    assert task.item(0) == Item(0, f"$7+1$? {MATH}", "8", "Algebra")


def test_questions_of_a_file_are_asked_as_they_stand(files):
    task = load_task("file", grader="gsm8k", **files)
    assert task.item(0) == Item(0, "3 + 1?", "4")


def test_a_file_in_verls_layout_is_taken_as_it_is(tmp_path):
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": f"3 + 1? {GSM8K}"}
    rows = [{"prompt": chat, "reward_model": {"ground_truth": "4"}} for chat in ([user], [system, user])]
    path = tmp_path / "verl.parquet"
    pl.DataFrame(rows).write_parquet(path)
    task = load_task("gsm8k", train_file=str(path), test_file=str(path))
    assert task.item(0) == Item(0, user["content"], "4")
    chat = (Message("system", "Be brief."), Message("user", user["content"]))
    assert task.item(1) == Item(1, f"Be brief.\n\n{user['content']}", "4", messages=chat)
    assert task.item(1).chat == chat


def test_limits_and_graders_of_the_data_sets(files):
    task = load_task("gsm8k", **files)
    assert (task.name, task.prompt_max, task.max_new) == ("gsm8k", 512, 1024)
    assert isinstance(task.grader(), Gsm8k)
    assert task.work_share("3 + 1 #### 4") == 6 / 12
    other = load_task("gsm8k", grader="math", prompt_max=64, max_new=128, **files)
    assert (other.prompt_max, other.max_new) == (64, 128)
    with other.grader() as grader:
        assert isinstance(grader, Mathematics)


def test_the_task_of_a_world(files):
    world = LLMWorld(model="m", seeds=1, task="file", grader="gsm8k", prompt_max=32, **files)
    task = task_of(world)
    assert (task.name, task.prompt_max, task.max_new, task.size("pool")) == ("file", 32, 1024, 2)


@pytest.mark.parametrize("index", [-1, 2, TEST - 1, TEST + 1, 2 * TEST])
def test_an_index_outside_the_files_is_an_error(files, index):
    with pytest.raises(InputError, match=rf"^item {index}: task 'gsm8k' holds items 0 to 1 to train on"):
        load_task("gsm8k", **files).item(index)


def test_more_than_a_file_holds_is_an_error(files):
    with pytest.raises(InputError, match="pool items: task 'gsm8k' holds 2, 3 were asked for"):
        load_task("gsm8k", **files).indices("pool", 3)
    with pytest.raises(InputError, match=r"split 'pretrain': unknown; task 'gsm8k' has pool, test"):
        load_task("gsm8k", **files).size("pretrain")


def test_what_does_not_fit_together_is_refused(files):
    with pytest.raises(InputError, match="train_file, test_file: both or neither"):
        load_task("gsm8k", train_file=files["train_file"])
    with pytest.raises(InputError, match="'file' needs train_file, test_file and grader"):
        load_task("file", **files)
    with pytest.raises(InputError, match="only gsm8k, math, file read files, got task 'arithmetic'"):
        load_task("arithmetic", **files)
    with pytest.raises(InputError, match=r"^grader: must be one of .*got 'chess'"):
        load_task("file", grader="chess", **files)


def test_an_answer_that_the_grader_cannot_read_is_named(files, tmp_path):
    path = json_lines(tmp_path / "odd.jsonl", {"question": "?", "answer": "many"})
    with pytest.raises(InputError, match=r"odd\.jsonl: row 1: answer: must be a number"):
        load_task("gsm8k", train_file=files["train_file"], test_file=path)


TOKENS = Characters.of("0123456789+ ?")


def test_prompts_that_are_too_long_are_counted(tmp_path):
    asked = ["1 + 1?", "11 + 11?", "2 + 2?", "22 + 22?", "3 + 3?"]
    path = json_lines(tmp_path / "a.jsonl", *({"question": q, "answer": "1"} for q in asked))
    task = load_task("file", train_file=path, test_file=path, grader="gsm8k", prompt_max=6)
    assert fitting(task, TOKENS, "pool", "all") == ([0, 2, 4], 2)
    assert fitting(task, TOKENS, "pool", 2) == ([0, 2], 1)
    assert fitting(task, TOKENS, "test", 1) == ([TEST], 0)
    with pytest.raises(InputError, match="of the 5 of task 'file', 3 fit into prompt_max = 6 tokens, 4 were"):
        fitting(task, TOKENS, "pool", 4)
    task.prompt_max = 5
    with pytest.raises(InputError, match="0 fit into prompt_max = 5 tokens, all were asked for"):
        fitting(task, TOKENS, "pool", "all")


def test_a_query_that_is_too_long_is_named(files):
    task = load_task("file", grader="gsm8k", prompt_max=5, **files)
    with pytest.raises(InputError, match=r"^item 1: its prompt must have 1 to 5 tokens, got 6"):
        prompt_ids(task, TOKENS, task.item(1))
    task.prompt_max = 6
    assert TOKENS.decode(prompt_ids(task, TOKENS, task.item(1))) == "5 + 1?"


def test_an_empty_prompt_is_named(tmp_path):
    path = json_lines(tmp_path / "a.jsonl", {"question": "", "answer": "1"})
    task = load_task("file", train_file=path, test_file=path, grader="gsm8k")
    with pytest.raises(InputError, match=r"^item 0: its prompt must have 1 to 512 tokens, got 0"):
        prompt_ids(task, TOKENS, task.item(0))


# The hub's own servers are not asked: a cache is laid out as huggingface_hub does it, and read offline.

HUB = {
    "gsm8k": ("openai--gsm8k", "main", {"question": "3 + 1?", "answer": "so\n#### 4"}),
    "math": ("DigitalLearningGmbH--MATH-lighteval", "data", {"problem": "$3+1$?", "solution": r"\boxed{4}"}),
}
READ = "import sys; from llm_runs.tasks import load_task; t = load_task(sys.argv[1]); print(t.items('pool', 2), t.size('test'))"


def read_hub(home, task, offline="1"):
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": offline}
    return subprocess.run([sys.executable, "-c", READ, task], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["gsm8k", "math"])
def test_a_data_set_is_read_from_the_hubs_cache(tmp_path, name):
    repository, folder, row = HUB[name]
    cache = tmp_path / "hub" / f"datasets--{repository}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("c0ffee")
    place = cache / "snapshots" / "c0ffee" / folder
    place.mkdir(parents=True)
    pl.DataFrame([row, row]).write_parquet(place / "train-00000-of-00001.parquet")
    pl.DataFrame([row]).write_parquet(place / "test-00000-of-00001.parquet")
    done = read_hub(tmp_path, name)
    instruction = GSM8K if name == "gsm8k" else MATH
    prompt = f"{row.get('question') or row.get('problem')} {instruction}"
    assert done.stdout.strip() == f"{[Item(0, prompt, '4'), Item(1, prompt, '4')]} 1", done.stderr


def test_without_a_cache_the_message_says_what_to_do(tmp_path):
    done = read_hub(tmp_path, "gsm8k")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        "banditrft.errors.InputError: task: main/train-00000-of-00001.parquet of the data set openai/gsm8k could "
        "not be fetched from the Hugging Face hub (LocalEntryNotFoundError); give train_file and test_file "
        "(.jsonl or .parquet) instead"
    )
