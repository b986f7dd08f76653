"""Bad models, stacks and checkpoints give one clear error."""

import json
import shutil

import pytest
from llm_fixtures import run
from study_fixtures import LLM, LUMPED

import llm_runs
from banditrft.errors import InputError
from banditrft.study import parse_study
from llm_runs.base_models import MODELS, load_base_model


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(MODELS / "tiny-llama", tmp_path / "model")


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_an_unknown_model_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(
        InputError, match=r"^model: must be .*tiny-qwen2, tiny-llama, tiny-olmo2.*got 'tiny-gpt'"
    ):
        load_base_model("tiny-gpt")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_base_model(str(tmp_path))


def test_a_local_folder_is_a_model(folder):
    load_base_model(str(folder))
    assert load_base_model(str(folder)).weights_sha256 == llm_runs.weights_hash("tiny-llama")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "model_type must be one of"),
        ({"vocab_size": 21}, "vocab_size must be 20"),
        ({"num_key_value_heads": 1}, "num_key_value_heads must be 3, got 1"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings must be False"),
        ({"hidden_act": "gelu"}, "hidden_act must be 'silu'"),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4}}, "rope_type must be 'default'"),
        ({"max_position_embeddings": 16}, "max_position_embeddings must be at least 34"),
        ({"intermediate_size": 200}, "multiples of 16"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rope_scaling must be None"),
        ({"hidden_size": "wide"}, "not a configuration of a llama"),
    ],
)
def test_a_model_that_is_not_computed_is_refused(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(InputError, match=message):
        load_base_model(str(folder))


def test_a_missing_or_broken_configuration_is_named(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["hidden_size"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json: hidden_size is required"):
        load_base_model(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: cannot be read as JSON"):
        load_base_model(str(folder))
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json: must hold a JSON object"):
        load_base_model(str(folder))


def test_damaged_weights_are_named(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: not the weights of this llama"):
        load_base_model(str(folder)).weights()
    shutil.copy(MODELS / "tiny-qwen2" / "model.safetensors", weights)
    edit(folder, num_hidden_layers=4)
    with pytest.raises(InputError, match="not the weights of this llama"):
        load_base_model(str(folder)).weights()


@pytest.mark.parametrize("changes", [{"num_hidden_layers": 2}, {"intermediate_size": 96}])
def test_weights_of_another_size_are_refused(folder, changes):
    """Too few layers or channels would compute something, just not this model."""
    load_base_model(str(folder)).weights()
    edit(folder, **changes)
    with pytest.raises(InputError, match=r"not the weights of this llama \(sizes or layers differ"):
        load_base_model(str(folder)).weights()


def test_runs_that_cannot_be_stacked_are_refused():
    with pytest.raises(InputError, match="must share"):
        llm_runs.execute([run(0, 0), run(0, 0, rollouts=4)])
    with pytest.raises(InputError, match="must share"):
        llm_runs.execute([run(0, 0), run(0, 0, root_seed=8)])


def test_a_design_this_world_does_not_run_is_refused():
    with pytest.raises(InputError, match="kl_coef"):
        llm_runs.execute([run(0, 0, kl_coef=0.1)])


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoints" / "final.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"no weights")
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
