"""Tokenizers: prompts as the model was trained to read them, responses up to their end."""

import pytest
from support.tokenizer import BOS, EOT, TEMPLATE, generation, write
from transformers import AutoTokenizer

from banditrft.errors import InputError
from llm_runs.base_models import MODELS
from llm_runs.tasks import Item, Message, load_task
from llm_runs.tokenizers import Characters, load_tokenizer

ITEM = Item(0, "How many eggs are left?", "7")
CHAT = f"{BOS}user: How many eggs are left?{EOT}assistant:"
CHARACTERS = Characters.of("0123456789+-*=?#; ")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    return write(tmp_path_factory.mktemp("chatty"), TEMPLATE)


def spelled(folder, ids):
    return AutoTokenizer.from_pretrained(folder).decode(ids)


def test_a_shipped_model_reads_characters():
    tokenizer = load_tokenizer(MODELS / "tiny-qwen2")
    assert tokenizer == CHARACTERS
    assert (tokenizer.pad, tokenizer.ends, tokenizer.size) == (0, (1,), 20)


@pytest.mark.parametrize("name", ["tiny-qwen2", "tiny-llama", "tiny-olmo2"])
def test_characters_are_what_transformers_reads(name):
    ours, theirs = load_tokenizer(MODELS / name), AutoTokenizer.from_pretrained(MODELS / name)
    for item in load_task("arithmetic").items("test", 60):
        assert ours.encode(item) == theirs.encode(item.prompt)


def test_characters_invert():
    text = "".join(CHARACTERS.tokens[2:])
    assert CHARACTERS.decode(CHARACTERS.encode_text(text)) == text


def test_a_response_of_characters_ends_at_the_first_end_token():
    ids = [*CHARACTERS.encode_text("#1"), CHARACTERS.eos, *CHARACTERS.encode_text("6")]
    assert CHARACTERS.decode(ids) == "#1"


def test_a_sampled_pad_is_spelled_out():
    assert CHARACTERS.decode([CHARACTERS.pad, *CHARACTERS.encode_text("#1")]) == "<pad>#1"


def test_a_character_outside_the_vocabulary_is_an_error():
    with pytest.raises(InputError, match="'x' is none of the model's tokens"):
        CHARACTERS.encode_text("12x")


def test_a_plain_prompt_begins_with_one_bos(plain):
    ids = load_tokenizer(plain).encode(ITEM)
    assert spelled(plain, ids) == f"{BOS}How many eggs are left?"


def test_a_chat_is_written_by_the_template_and_opens_the_answer(chatty):
    assert spelled(chatty, load_tokenizer(chatty).encode(ITEM)) == CHAT


def test_a_prompt_that_brings_its_own_bos_does_not_get_a_second(plain):
    item = Item(0, f"{BOS}How many eggs are left?", "7")
    assert load_tokenizer(plain).encode(item) == load_tokenizer(plain).encode(ITEM)


def test_a_prompt_is_not_ended_by_a_tokenizer_that_ends_texts(tmp_path, plain):
    ending = write(tmp_path, adds="<|begin|> $A <|end|>")
    assert load_tokenizer(ending).encode(ITEM) == load_tokenizer(plain).encode(ITEM)


def test_all_messages_of_a_chat_are_written(chatty):
    messages = (Message("system", "step by step"), Message("user", "How many eggs are left?"))
    ids = load_tokenizer(chatty).encode(Item(0, "not read", "7", messages=messages))
    assert spelled(chatty, ids) == CHAT.replace("user:", f"system: step by step{EOT}user:")


def test_without_a_template_a_chat_is_its_plain_prompt(plain):
    messages = (Message("system", "step by step"), Message("user", "How many?"))
    ids = load_tokenizer(plain).encode(Item(0, "step by step\n\nHow many?", "7", messages=messages))
    assert spelled(plain, ids) == f"{BOS}step by step\n\nHow many?"


def test_chat_false_leaves_the_template_out(chatty, plain):
    assert load_tokenizer(chatty, chat=False).encode(ITEM) == load_tokenizer(plain).encode(ITEM)


@pytest.mark.parametrize("folder", ["plain", "shipped"])
def test_chat_true_needs_a_template(folder, plain):
    with pytest.raises(InputError, match=r"^chat: .* has no chat template, got true"):
        load_tokenizer(plain if folder == "plain" else MODELS / "tiny-llama", chat=True)


def test_a_template_never_sees_the_date(tmp_path):
    """Llama 3 writes the day into the system message: a resumed run would read other prompts."""
    folder = write(tmp_path, "{{ strftime_now('%d %b %Y') }}{{ messages[0].content }}")
    assert spelled(folder, load_tokenizer(folder).encode(ITEM)) == "26 Jul 2024How many eggs are left?"


def test_a_template_that_refuses_a_chat_names_the_item(tmp_path):
    folder = write(tmp_path, "{{ raise_exception('no system role') }}")
    with pytest.raises(InputError, match=r"^item 0: .*no system role"):
        load_tokenizer(folder).encode(ITEM)


def test_a_text_that_is_no_unicode_names_the_item(plain):
    with pytest.raises(InputError, match=r"^item 5: its prompt cannot be written"):
        load_tokenizer(plain).encode(Item(5, "\ud800", "7"))


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ({}, (1,)),
        ({"eos_token_id": [1, 2]}, (1, 2)),
        ({"eos_token_id": 2}, (1, 2)),
        ({"eos_token_id": None}, (1,)),
    ],
)
def test_what_ends_a_response_is_the_tokenizers_and_the_models_word(tmp_path, settings, ends):
    generation(write(tmp_path), **settings)
    assert load_tokenizer(tmp_path).ends == ends


def test_config_json_speaks_where_generation_config_is_silent(tmp_path):
    (write(tmp_path) / "config.json").write_text('{"eos_token_id": 2}')
    assert load_tokenizer(tmp_path).ends == (1, 2)


def test_pad_falls_back_to_the_end_token(plain):
    assert load_tokenizer(plain).pad == 1


def test_a_response_ends_at_any_end_token_and_leaves_special_tokens_out(tmp_path):
    generation(write(tmp_path), eos_token_id=[1, 2])
    tokenizer = load_tokenizer(tmp_path)
    text = AutoTokenizer.from_pretrained(tmp_path).encode(" 3 + 4 = 7 #### 7", add_special_tokens=False)
    assert tokenizer.decode([0, *text, 2, *text, 1]) == " 3 + 4 = 7 #### 7"


def test_size_bounds_all_ids(plain):
    assert load_tokenizer(plain).size == len(AutoTokenizer.from_pretrained(plain))


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(InputError, match=r"its tokenizer cannot be read") as caught:
        load_tokenizer(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_tokenizer_is_named(tmp_path):
    (write(tmp_path) / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="its tokenizer cannot be read"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    write(tmp_path, eos=None)
    with pytest.raises(InputError, match="says what ends a text"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("told", ["stop", [1, "stop"], True, -1, 1.5])
def test_end_tokens_that_are_none_are_refused(tmp_path, told):
    generation(write(tmp_path), eos_token_id=told)
    with pytest.raises(InputError, match=r"generation_config\.json: eos_token_id must be a token"):
        load_tokenizer(tmp_path)


def test_words_are_no_characters(tmp_path):
    """A word-level tokenizer of another kind is left to transformers."""
    text = (MODELS / "tiny-llama" / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text.replace('"Regex": "."', '"Regex": ".."'))
    (tmp_path / "tokenizer_config.json").write_text(
        (MODELS / "tiny-llama" / "tokenizer_config.json").read_text()
    )
    assert not isinstance(load_tokenizer(tmp_path), Characters)
