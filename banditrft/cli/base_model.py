"""`banditrft base-model`: the tiny base models that the package ships."""

from pathlib import Path

import click

from banditrft.cli.common import print_json
from banditrft.files import read_json
from banditrft.progress import Board


@click.group(name="base-model")
def command() -> None:
    """List the shipped base models, or train one again from its recipe."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def list_(as_json: bool) -> int:
    """Name, parameters, base Pass@1 and weights hash of each shipped model."""
    import llm_runs

    models = llm_runs.shipped_models()
    if as_json:
        print_json({"models": models})
        return 0
    for model in models:
        click.echo(
            f"{model['name']:14}{model['parameters']:>9} parameters   base Pass@1 "
            f"{model['base_pass_at_1']:.3f}   sha256 {model['weights_sha256'][:16]}"
        )
    return 0


@command.command(name="train")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new model.")
@click.option("--seed", type=int, help="Seed [default: the recipe's].")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps [default: the recipe's].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def train(name: str, out: Path, seed: int | None, steps: int | None, as_json: bool) -> int:
    """Pretrain base model NAME from scratch (about three minutes on one core)."""
    import llm_runs

    with Board(f"pretraining {name}", 1) as board:
        folder = llm_runs.train_base_model(
            name, out, seed=seed, steps=steps, progress=lambda step, last, _: board.advance(name, step / last)
        )
        board.finish(name, failed=False)
    if as_json:
        print_json({"folder": str(folder), **read_json(folder / "provenance.json")})
    else:
        click.echo(f"trained: {folder}")
    return 0
