"""Models by shipped name, and by folder; what is no model gives one clear error."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from support.model import CONFIGS, random_model, saved

from banditrft.errors import InputError
from banditrft.worlds.llm import LLMWorld, Lora
from llm_runs.base_models import MODELS, SHIPPED, check_fits, find_model
from llm_runs.base_models.modules import load_module, merged_state
from llm_runs.tiny.architecture import architecture_of, stacks, weights_of

LOADED = {"dtype": torch.float32, "device": "cpu"}


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(MODELS / "tiny-llama", tmp_path / "model")


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_stack(name):
    model = find_model(name)
    assert model.parameters == sum(tensor.numel() for tensor in weights_of(model).values())
    assert model.weights_sha256 == digest(model.folder / "model.safetensors")


def test_a_local_folder_is_a_model(folder):
    assert find_model(str(folder)).weights_sha256 == find_model("tiny-llama").weights_sha256
    assert architecture_of(find_model(str(folder))) == architecture_of(find_model("tiny-llama"))


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(InputError, match=r"^model: must be a shipped model \(.*tiny-qwen2.*got 'tiny-gpt'$"):
        find_model("tiny-gpt")


def test_a_revision_is_of_the_hub(folder):
    with pytest.raises(InputError, match=r"^revision: only a model on the hub has one, got 'main'"):
        find_model(str(folder), "main")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "mistral"}, "model_type must be one of"),
        ({"num_key_value_heads": 1}, "num_key_value_heads must be 3, got 1"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings must be False"),
        ({"hidden_act": "gelu"}, "hidden_act must be 'silu'"),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4}}, "rope_type must be 'default'"),
        ({"intermediate_size": 200}, "multiples of 16"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rope_scaling must be None"),
    ],
)
def test_a_model_that_the_stacked_program_does_not_compute_says_why(folder, changes, reason):
    edit(folder, **changes)
    model = find_model(str(folder))
    with pytest.raises(InputError, match="the stacked program does not compute it") as error:
        weights_of(model)
    assert reason in str(error.value)
    assert not stacks(LLMWorld(model=str(folder), seeds=1), model, "cpu")


def test_a_missing_or_broken_configuration_is_named(folder):
    edit(folder, model_type=None)
    with pytest.raises(InputError, match=r"config\.json: model_type is required"):
        find_model(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: cannot be read as JSON"):
        find_model(str(folder))
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json: must hold a JSON object"):
        find_model(str(folder))


@pytest.mark.parametrize(
    "changes", [{"architectures": ["BertForMaskedLM"]}, {"is_encoder_decoder": True}], ids=["bert", "t5"]
)
def test_what_is_no_causal_language_model_is_refused(folder, changes):
    edit(folder, **changes)
    with pytest.raises(InputError, match=r"config\.json: must be a causal language model"):
        find_model(str(folder))


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        InputError, match="pickled weights, which are not loaded; convert them to safetensors"
    ):
        find_model(str(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        find_model(str(folder))


@pytest.mark.parametrize(
    "target", ["../model.safetensors", "weights.bin", "model-00009-of-00009.safetensors"]
)
def test_an_index_names_files_of_its_folder(folder, target):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    index = {"weight_map": {"lm_head.weight": target}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=f"names '{target}', which is no safetensors file of this folder"):
        find_model(str(folder))


def test_damaged_weights_are_named(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: not the weights of this llama"):
        weights_of(find_model(str(folder)))
    with pytest.raises(InputError, match=r"model\.safetensors: not a safetensors file"):
        _ = find_model(str(folder)).parameters
    with pytest.raises(InputError, match="transformers cannot load it"):
        load_module(find_model(str(folder)), **LOADED)


def test_a_hash_follows_its_file(folder):
    before = find_model(str(folder)).weights_sha256
    shutil.copy(MODELS / "tiny-qwen2" / "model.safetensors", folder)
    assert find_model(str(folder)).weights_sha256 != before


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja"]
)
def test_what_a_model_samples_is_part_of_its_identity(folder, file):
    before, weights = find_model(str(folder)).identity, find_model(str(folder)).weights_sha256
    path = folder / file
    path.write_text((path.read_text() if path.exists() else "") + "\n")
    after = find_model(str(folder))
    assert after.identity != before
    assert after.weights_sha256 == weights


def test_a_shipped_model_is_known_by_its_weights():
    assert find_model("tiny-llama").identity == find_model("tiny-llama").weights_sha256


def test_missing_weights_are_never_made_up(folder):
    edit(folder, num_hidden_layers=4, layer_types=None)
    with pytest.raises(InputError, match=r"its files lack 9 weights, first model\.layers\.3"):
        load_module(find_model(str(folder)), **LOADED)


def test_weights_without_a_place_are_not_passed_over(folder):
    edit(folder, num_hidden_layers=2, layer_types=None)
    with pytest.raises(InputError, match=r"hold 9 weights that .* no place for, first model\.layers\.2"):
        load_module(find_model(str(folder)), **LOADED)


def test_code_that_comes_with_a_model_is_not_run(folder):
    (folder / "evil.py").write_text("raise SystemExit('run')")
    edit(folder, model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"})
    with pytest.raises(InputError, match="transformers cannot load it"):
        load_module(find_model(str(folder)), **LOADED)


def test_a_model_must_have_room_for_the_task():
    model = find_model("tiny-llama")
    check_fits(model, prompt_max=40, max_new=24, tokens=20)
    with pytest.raises(
        InputError, match=r"^prompt_max, max_new: together must be at most 64, .*got 41 \+ 24$"
    ):
        check_fits(model, prompt_max=41, max_new=24, tokens=20)
    with pytest.raises(
        InputError, match="vocab_size of tiny-llama must be at least 21, the tokenizer's size, got 20"
    ):
        check_fits(model, prompt_max=40, max_new=24, tokens=21)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_is_loaded_as_it_was_saved(name, tmp_path):
    saved(name, tmp_path)
    model, wanted = find_model(str(tmp_path)), random_model(name)
    module = load_module(model, **LOADED)
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        assert torch.equal(module(input_ids=ids).logits, wanted(input_ids=ids).logits)
    assert model.parameters == sum(parameter.numel() for parameter in wanted.parameters())
    assert {n for n, _ in merged_state(module)} == set(load_file(tmp_path / "model.safetensors"))


def test_weights_in_several_files(tmp_path):
    folder = saved("llama", tmp_path, max_shard_size="10KB")
    model = find_model(str(folder))
    assert len(model.weight_files) > 2
    lines = "".join(f"{path.name} {digest(path)}\n" for path in sorted(folder.glob("*.safetensors")))
    assert model.weights_sha256 == hashlib.sha256(lines.encode()).hexdigest()
    wanted = random_model("llama").state_dict()
    assert all(
        torch.equal(tensor, wanted[name]) for name, tensor in merged_state(load_module(model, **LOADED))
    )
    assert model.parameters == sum(tensor.numel() for tensor in wanted.values())


def test_adapters_are_merged_without_touching_the_module(tmp_path):
    model = find_model(str(saved("grouped and tied", tmp_path)))
    module = load_module(model, **LOADED, lora=Lora(rank=2, alpha=4.0))
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for name in trained:
            module.get_parameter(name).add_(0.1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    merged = dict(merged_state(module))
    plain = load_module(model, **LOADED)
    plain.load_state_dict(merged, strict=False)
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            plain(input_ids=ids).logits, module(input_ids=ids).logits, rtol=0, atol=1e-5
        )
    assert set(merged) == set(load_file(tmp_path / "model.safetensors"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_merging_adapters_into_bfloat16_loses_nothing_of_a_small_update(tmp_path):
    model = find_model(str(saved("llama", tmp_path)))
    module = load_module(model, dtype=torch.bfloat16, device="cpu", lora=Lora(rank=2, alpha=4.0))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if ".lora_B." in name:
                parameter.fill_(1e-5)
    name = "model.layers.0.self_attn.q_proj.weight"
    layer = module.get_submodule(f"base_model.model.{name.removesuffix('.weight')}")
    merged = dict(merged_state(module))
    wanted = layer.base_layer.weight.double() + layer.get_delta_weight("default").double()
    torch.testing.assert_close(merged[name].double(), wanted, rtol=1e-7, atol=0)
    assert {n for n, tensor in merged.items() if tensor.dtype == torch.float32} == {
        n for n in merged if n.endswith("proj.weight")
    }


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_adapters_on_an_end_of_a_tied_table_are_refused(tmp_path, target):
    tied = find_model(str(saved("grouped and tied", tmp_path / "tied")))
    with pytest.raises(InputError, match=r"^lora\.targets: .* one table of tokens"):
        load_module(tied, **LOADED, lora=Lora(targets=("q_proj", target)))
    apart = find_model(str(saved("llama", tmp_path / "apart")))
    load_module(apart, **LOADED, lora=Lora(targets=("q_proj", target)))


def test_adapters_of_modules_that_are_not_there_are_refused(tmp_path):
    model = find_model(str(saved("llama", tmp_path)))
    with pytest.raises(InputError, match=r"^lora\.targets: "):
        load_module(model, **LOADED, lora=Lora(targets=("no_proj",)))


def test_checkpointed_gradients_are_the_same(tmp_path):
    model = find_model(str(saved("gpt2", tmp_path)))
    ids, found = torch.arange(2, 12)[None], []
    for checkpointing in (False, True):
        module = load_module(model, **LOADED, gradient_checkpointing=checkpointing)
        module(input_ids=ids).logits.square().mean().backward()
        found.append([parameter.grad for parameter in module.parameters()])
        assert module.training == checkpointing
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_nothing_to_train(tmp_path):
    module = load_module(find_model(str(saved("llama", tmp_path))), **LOADED, trainable=False)
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads must be a whole number of at least 1, got 0"),
        ({"num_attention_heads": None}, "num_attention_heads must be .*, got None"),
        ({"hidden_size": None}, "hidden_size must be .*, got None"),
        ({"vocab_size": None}, "vocab_size must be .*, got None"),
        ({"vocab_size": "many"}, "vocab_size must be .*, got 'many'"),
        ({"head_dim": 0}, "head_dim must be .*, got 0"),
        ({"num_key_value_heads": -1}, "num_key_value_heads must be .*, got -1"),
        ({"max_position_embeddings": 1.5}, "max_position_embeddings must be .*, got 1.5"),
        ({"text_config": []}, "text_config must be a JSON object"),
        ({"text_config": {"hidden_size": True}}, "text_config.hidden_size must be .*, got True"),
    ],
)
def test_sizes_of_a_configuration_are_whole_numbers(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(InputError, match=rf"config\.json: {message}"):
        find_model(str(folder))


def test_a_configuration_nested_too_deep_is_no_json(folder):
    (folder / "config.json").write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(InputError, match=r"config\.json: cannot be read as JSON"):
        find_model(str(folder))
