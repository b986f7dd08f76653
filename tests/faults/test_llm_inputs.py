"""Bad stacks, checkpoints and studies give one clear error."""

import pytest
from support.llm import run
from support.study import LLM, LUMPED

import llm_runs
from banditrft.errors import InputError
from banditrft.files import sha256, write_sealed
from banditrft.records import SCHEMA
from banditrft.study import parse_study


def test_runs_that_cannot_be_stacked_are_refused():
    with pytest.raises(InputError, match="must share"):
        llm_runs.execute([run(0, 0), run(0, 0, rollouts=4)])
    with pytest.raises(InputError, match="must share"):
        llm_runs.execute([run(0, 0), run(0, 0, root_seed=8)])


def test_a_design_this_world_does_not_run_is_refused():
    with pytest.raises(InputError, match="aggregation: 'micro-batch-mean' needs the world's micro_batch"):
        llm_runs.execute([run(0, 0, aggregation="micro-batch-mean")])


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoints" / "final.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"no weights")
    info = {"schema": SCHEMA, "status": "complete", "run_id": tmp_path.name, "rows": {}, "world": {}}
    files = {"checkpoints/final.safetensors": sha256(b"no weights")}
    write_sealed(tmp_path / "run.json", {**info, "seeds": [0, 1], "query": None, "files": files})
    with pytest.raises(InputError, match=r"final\.safetensors"):
        llm_runs.evaluate_checkpoint(run(0, 0), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('model = "tiny-qwen2"', 'model = "huge-qwen9"', r"^llm\[0\]\.model: must be .*got 'huge-qwen9'$"),
        ('model = "tiny-qwen2"', 'model = "tiny-qwen2"\ntask = "chess"', r"^llm\[0\]\.task: .*got 'chess'$"),
        ("pool = 24", "pool = 100_000_000", r"^llm\[0\]\.queries\.pool: "),
        ("test_items = 8", "test_items = 100_000_000", r"^llm\[0\]\.test_items: "),
    ],
)
def test_a_study_that_asks_for_what_there_is_not_is_refused_by_field(old, new, message):
    assert old in LLM
    with pytest.raises(InputError, match=message):
        llm_runs.check(parse_study(LUMPED + LLM.replace(old, new)))


def test_a_good_study_passes():
    llm_runs.check(parse_study(LUMPED + LLM))
