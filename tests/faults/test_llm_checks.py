"""What a language-model world cannot get is said by field, before anything is written."""

import json
import shutil

import pytest
from support.study import LLM, LUMPED

import llm_runs
from banditrft.design import parse
from banditrft.errors import InputError
from banditrft.study import Study, parse_study
from banditrft.worlds import LLMWorld
from llm_runs.base_models import MODELS
from llm_runs.planning import checks
from llm_runs.planning.checks import notes
from llm_runs.queries.difficulty import measure


def study(*lines: str, model: str = "tiny-qwen2", queries: str | None = None) -> Study:
    text = LLM.replace('model = "tiny-qwen2"', f'model = "{model}"')
    if queries is not None:
        kept = [line for line in text.splitlines() if not line.startswith("queries")]
        text = "\n".join([*kept, queries, ""])
    return parse_study(LUMPED + text + "\n".join(lines) + "\n")


def errors(*lines: str, **options: str) -> list[str]:
    with pytest.raises(InputError) as found:
        llm_runs.check(study(*lines, **options), here=True)
    return str(found.value).splitlines()


@pytest.fixture
def gpus(monkeypatch):
    """How many GPUs there are, as the checks see it."""
    return lambda count: monkeypatch.setattr(checks, "gpu_count", lambda: count)


def copied(folder, change):
    shutil.copytree(MODELS / "tiny-qwen2", folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return str(folder)


def test_a_gpu_that_is_not_there_is_missed_here_and_nowhere_else(gpus):
    gpus(0)
    assert errors('device = "cuda"') == ["llm[0].device: no GPU on this machine, got 'cuda'"]
    assert notes(study('device = "cuda"')) == ["llm[0].device: no GPU on this machine, got 'cuda'"]
    llm_runs.check(study('device = "cuda"'))
    gpus(1)
    llm_runs.check(study('device = "cuda"'), here=True)


def test_more_gpus_than_there_are(gpus):
    gpus(2)
    asked = ('engine = "vllm"', "tensor_parallel = 3", "shards = 4")
    assert errors(*asked) == [
        "llm[0].tensor_parallel: must be at most 2, the GPUs of this machine, got 3",
        "llm[0].shards: must be at most 2, the GPUs of this machine, got 4",
    ]


def test_gpus_that_nothing_counts_are_trusted(gpus):
    gpus(None)
    assert notes(study('device = "cuda"', "shards = 4")) == []


def test_tensor_parallel_without_gpus_is_wrong_on_every_machine():
    asked = study('engine = "vllm"', 'device = "cpu"', "tensor_parallel = 2")
    with pytest.raises(
        InputError, match=r"^llm\[0\]\.tensor_parallel: needs GPUs, got 2 with device = 'cpu'$"
    ):
        llm_runs.check(asked)


def test_heads_that_vllm_does_not_compute_on_cpu(gpus, tmp_path, monkeypatch):
    gpus(0)
    monkeypatch.setattr(checks, "find_spec", lambda name: name)
    model = copied(tmp_path / "odd", {"head_dim": 24})
    (line,) = errors('engine = "vllm"', model=model)
    assert line.startswith("llm[0].engine: on CPU vLLM computes heads of 32, 64, ")
    assert f"got 24 of {model}" in line
    llm_runs.check(study('engine = "vllm"'), here=True)


def test_a_chat_without_a_template():
    assert errors("chat = true") == ["llm[0].chat: tiny-qwen2 has no chat template, got true"]


def test_prompts_of_which_none_fits():
    assert errors("prompt_max = 2") == [
        "llm[0].prompt_max: no prompt of the pool items has so few tokens, got 2"
    ]


def test_room_is_named_by_both_fields():
    (line,) = errors("prompt_max = 512", "max_new = 1024")
    assert line.startswith("llm[0].prompt_max, max_new: together must be at most ")
    assert line.endswith("the positions of tiny-qwen2, got 512 + 1024")


def test_a_folder_that_is_no_model(tmp_path):
    wanted = f"llm[0].model: {tmp_path}: must hold config.json and model.safetensors"
    assert errors(model=str(tmp_path)) == [wanted]


def test_a_damaged_configuration_is_the_models(tmp_path):
    model = copied(tmp_path / "m", {})
    (tmp_path / "m" / "config.json").write_text("{")
    (line,) = errors(model=model)
    assert line.startswith(f"llm[0].model: {model}/config.json: cannot be read as JSON")


def test_model_and_task_are_both_named():
    assert [line.partition(":")[0] for line in errors('task = "chess"', model="huge-qwen9")] == [
        "llm[0].task",
        "llm[0].model",
    ]


def test_an_item_that_the_task_does_not_have():
    (line,) = errors(queries="queries = { items = [999999999] }")
    assert line.startswith("llm[0].queries.items: ")


def test_a_table_that_is_not_there():
    (line,) = errors(queries='queries = { file = "nowhere.json" }')
    assert line.startswith("llm[0].queries.file: nowhere.json: ")


def test_a_table_of_another_task_is_told_by_its_header(tmp_path):
    out = tmp_path / "words.json"
    measure(
        parse(LLMWorld, {"model": "tiny-qwen2", "task": "arithmetic", "seeds": 1}), out, samples=1, items=1
    )
    out.write_text(json.dumps(json.loads(out.read_text()) | {"task": "tiny-sort"}))
    (line,) = errors(queries=f'queries = {{ file = "{out}" }}')
    assert line.startswith(f"llm[0].queries.file: {out} was measured with another task")


def test_too_few_in_a_table_is_not_answered_with_a_larger_pool(tmp_path):
    out = tmp_path / "d.json"
    named = {"file": str(out), "count": 2, "base_pass_at_1": (0.98, 0.99)}
    world = parse(LLMWorld, {"model": "tiny-qwen2", "task": "arithmetic", "seeds": 1, "queries": named})
    measure(world, out, samples=2, items=3)
    with pytest.raises(InputError, match=r"give a table of more items$"):
        llm_runs.resolve_queries(world, 0)
