"""What vLLM cannot do is said in one line before it is started."""

import pytest
from support.vllm import MODEL, engine, limits, needs_vllm, world

from banditrft.errors import InputError
from llm_runs.base_models import find_model
from llm_runs.engines.vllm import VLLMEngine, cache_bytes, sequence_length
from llm_runs.engines.vllm_server import CPU_CACHE, check_version
from llm_runs.interfaces import Limits


def test_a_missing_vllm_is_named_with_its_installation():
    with pytest.raises(InputError, match=r"needs vLLM 0\.32, which is not installed .*pip install"):
        check_version(None)


@pytest.mark.parametrize("version", ["0.31.9", "0.33.0", "0.3.2", "1.32.0"])
def test_another_release_is_refused(version):
    with pytest.raises(InputError, match=rf"engine: vLLM 0\.32 is needed, got {version}"):
        check_version(version)


@pytest.mark.parametrize("version", ["0.32.0", "0.32.1+cpu", "0.32.2.post1"])
def test_patch_releases_are_taken(version):
    check_version(version)


def test_a_temperature_that_vllm_would_change_is_refused():
    with pytest.raises(InputError, match=r"temperature: vLLM samples at 0\.01 or above, got 0\.001"):
        engine(temperature=0.001)


def test_too_few_positions_are_refused():
    model = find_model(MODEL)
    with pytest.raises(InputError, match="max_position_embeddings must be at least"):
        sequence_length(model, Limits(10, 10_000, 1.0, (1,), 0))


def test_sequences_leave_room_for_canary_prompts_within_the_models_positions():
    model = find_model(MODEL)
    assert model.positions is not None
    assert sequence_length(model, limits()) == min(model.positions, 120 + limits().max_new)


def test_memory_for_the_cache_stays_within_its_bounds():
    config = dict(find_model(MODEL).config)
    assert cache_bytes(config, "float32", 64) == CPU_CACHE[0]
    large = config | {"num_hidden_layers": 4, "num_key_value_heads": 4, "head_dim": 64}
    assert cache_bytes(large, "float32", 1000) == 256 * 1024 * 2 * 4 * 4 * 64 * 4
    assert cache_bytes(large, "bfloat16", 1000) == 256 * 1024 * 2 * 4 * 4 * 64 * 2
    assert cache_bytes(large | {"num_hidden_layers": 64}, "float32", 1000) == CPU_CACHE[1]
    assert cache_bytes({"model_type": "gpt2"}, "float32", 64) == CPU_CACHE[1]


@needs_vllm
def test_a_device_that_vllm_is_not_built_for_is_refused():
    other = "cpu" if engine().server.on_gpu else "cuda"
    with pytest.raises(InputError, match=f"device: this vLLM is built for .*, got '{other}'"):
        VLLMEngine(find_model(MODEL), world(device=other), limits())


@needs_vllm
def test_several_gpus_are_refused_where_there_is_none():
    if engine().server.on_gpu:
        pytest.skip("this vLLM is built for GPUs")
    with pytest.raises(InputError, match="tensor_parallel: needs GPUs, got 2 on CPU"):
        VLLMEngine(find_model(MODEL), world(tensor_parallel=2), limits())
