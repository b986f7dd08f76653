"""`banditrft new FILE`: a study file to start from, under a name of its own."""

import re
from pathlib import Path
from string import Template
from typing import get_args

import click

from banditrft.cli.common import echo, preset_names, preset_text
from banditrft.design import Signal
from banditrft.errors import InputError
from banditrft.study import NAME

TEMPLATE = Template("""\
# A study: conditions x seeds x worlds. `banditrft fields` lists every field and its default.
name = "$name"             # of the folder of its records, runs/$name
seeds = 64                # runs of every condition (for a language model: per training query)
claims = ["A1"]           # what it tests; `[[own_claims]]` states claims of your own

[design]                  # holds for every condition that does not say otherwise
rollouts = 1              # responses per query and round, G
signal = "raw"            # $signals
reward = "zero-one"       # 1 if right, else 0
optimizer = "adam"        # sgd, adam, adamw
learning_rate = 0.1       # in a simulated world a step in log-odds; of a language model's weights, about 1e-4
rounds = 200
eval_every = 5            # rounds between evaluations

[[conditions]]            # each is [design] with some fields changed
name = "G=1"

[[conditions]]
name = "G=4"
rollouts = 4

[[conditions]]
name = "placebo"          # no gain is believed that random rewards give as well
reward = "random"

[[sim]]                   # an exact simulation: `banditrft sim $file`, in seconds
world = "lumped"
seeds = 256
classes = [
  {name = "right", arms = 1, mass = 0.1, reward = 1},          # mass: the base Pass@1
  {name = "wrong", arms = 1_000_000, mass = 0.9, reward = 0},
]

# The same conditions on a language model: `banditrft llm $file`. Take the leading "# " away.
# [[llm]]
# model = "tiny-qwen2"    # shipped (tiny-...), a folder, or ORG/NAME on the Hugging Face hub
# learning_rate = 1e-4
# task = "arithmetic"     # for questions of your own, lines {"question": "1+1=?", "answer": "2"}:
# # task = "file"
# # train_file = "train.jsonl"
# # test_file = "test.jsonl"
# # grader = "arithmetic" # of answers like "#2"; also gsm8k, math, boxed, module:Class
# seeds = 4
# test_items = 100
# queries = {count = 2, base_pass_at_1 = [0.1, 0.5]}   # training queries, chosen by their base Pass@1
""")


@click.command(name="new")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--preset", metavar="NAME", help="Start from a shipped study instead of the commented one.")
def command(file: Path, preset: str | None) -> int:
    """Write a commented study to FILE (NAME.toml); the study is called NAME."""
    name = file.name.removesuffix(".toml")
    if name == file.name or not NAME.fullmatch(name):
        raise InputError(f"FILE: must be NAME.toml, of letters, digits and . _ -, got {file}")
    if name in preset_names():
        raise InputError(f"FILE: {name!r} is a shipped study's name; its records would be mixed with yours")
    text = TEMPLATE.substitute(name=name, file=file.name, signals=", ".join(get_args(Signal)))
    if preset is not None:
        if preset not in preset_names():
            raise InputError(f"--preset: must be one of {', '.join(preset_names())}, got {preset}")
        copied = re.sub(r"^name = .*$", f'name = "{name}"', preset_text(preset), count=1, flags=re.MULTILINE)
        text = f"# A copy of the shipped study {preset}.\n{copied}"
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise InputError(f"FILE: is there already, got {file}") from None
    except OSError as error:
        raise InputError(f"FILE: cannot be written ({error.strerror}), got {file}") from None
    echo(f"{file}: edit it, then banditrft lint {file} and banditrft sim {file}")
    return 0
