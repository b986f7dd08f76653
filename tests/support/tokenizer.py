"""A small byte-level tokenizer in transformers' format, trained on the spot, with or without a chat template."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS, END, EOT = "<|begin|>", "<|end|>", "<|eot|>"
LINES = ["user assistant system", "How many eggs are left? Let's think step by step.", "3 + 4 = 7 #### 7"]
TEMPLATE = (
    "{{ bos_token }}"
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '<|eot|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


def write(
    folder: Path, template: str | None = None, *, eos: str | None = END, adds: str = f"{BOS} $A"
) -> Path:
    """Write a tokenizer; `adds` is what it puts around a plain text."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[BOS, END, EOT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(LINES, trainer)
    core.post_processor = processors.TemplateProcessing(single=adds, special_tokens=[(BOS, 0), (END, 1)])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BOS, eos_token=eos)
    wrapped.add_special_tokens({"additional_special_tokens": [EOT]})
    wrapped.chat_template = template
    wrapped.save_pretrained(folder)
    return folder


def generation(folder: Path, **settings: object) -> None:
    """Write generation_config.json."""
    (folder / "generation_config.json").write_text(json.dumps(settings))
