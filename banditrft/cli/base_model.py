"""`banditrft base-model`: the tiny base models that the package ships."""

from pathlib import Path
from typing import Any

import click

from banditrft.cli.common import echo, print_json
from banditrft.errors import InputError
from banditrft.files import read_json
from banditrft.progress import Board


@click.group(name="base-model")
def command() -> None:
    """List and show the shipped base models, or train one again from its recipe."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def list_(as_json: bool) -> int:
    """Name, parameters, base Pass@1 by task and weights hash of each shipped model."""
    import llm_runs

    models = llm_runs.shipped_models()
    if as_json:
        print_json({"models": models})
        return 0
    for model in models:
        rates = ", ".join(f"{task} {rate:.3f}" for task, rate in model["base_pass_at_1"].items())
        echo(
            f"{model['name']:18}{model['parameters']:>9} parameters   "
            f"sha256 {model['weights_sha256'][:16]}   base Pass@1: {rates}"
        )
    return 0


@command.command(name="show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(name: str, as_json: bool) -> int:
    """How shipped model NAME was made and what it can do before any fine-tuning."""
    import llm_runs

    models = {model["name"]: model for model in llm_runs.shipped_models()}
    if name not in models:
        raise InputError(f"base model {name!r}: unknown; available: {', '.join(models)}")
    if as_json:
        print_json(models[name])
    else:
        echo(_page(models[name]))
    return 0


def _page(model: dict[str, Any]) -> str:
    """A model's provenance as text."""
    measured = model["measured"]
    lines = [
        f"{model['name']}: {model['parameters']} parameters, recipe {model['recipe_hash']}, "
        f"seed {model['seed']}, {model['steps']} steps",
        f"weights  sha256 {model['weights_sha256']}",
        f"made by  {model['command']}",
        f"base Pass@1 over the first {measured['items']} items of a set, {measured['samples']} samples each:",
        f"{'task':14}{'set':6}{'strict':>8}{'lenient':>9}{'score':>8}   strict by item: least, median, most",
    ]
    for task, sets in measured["tasks"].items():
        for split, found in sets.items():
            low, middle, high = (found["strict_deciles"][at] for at in (0, 5, 10))
            lines.append(
                f"{task:14}{split:6}{found['strict']:8.3f}{found['lenient']:9.3f}{found['score']:8.3f}   "
                f"{low:.3f}, {middle:.3f}, {high:.3f}"
            )
    return "\n".join(lines)


@command.command(name="train")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new model.")
@click.option("--seed", type=int, help="Seed [default: the recipe's].")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps [default: the recipe's].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def train(name: str, out: Path, seed: int | None, steps: int | None, as_json: bool) -> int:
    """Pretrain base model NAME from scratch (several minutes on one core)."""
    import llm_runs

    with Board(f"pretraining {name}", 1) as board:
        folder = llm_runs.train_base_model(
            name, out, seed=seed, steps=steps, progress=lambda step, last, _: board.advance(name, step / last)
        )
        board.finish(name, failed=False)
    if as_json:
        print_json({"folder": str(folder), **read_json(folder / "provenance.json")})
    else:
        echo(f"trained: {folder}")
    return 0
