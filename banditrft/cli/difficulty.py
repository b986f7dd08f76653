"""`banditrft difficulty`: Pass@1 of every item for a base model, a table other commands read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from banditrft.cli.common import echo, print_json
from banditrft.cli.predict_plot import SETTINGS as FIGURE
from banditrft.cli.predict_plot import TEST, TRAIN
from banditrft.design import parse
from banditrft.errors import InputError, Problems
from banditrft.progress import Board

if TYPE_CHECKING:
    from llm_runs.queries import Difficulties


BARS = 60
"""Most items whose intervals are drawn one by one; beyond, they run into a band."""


def draw(table: Difficulties, path: Path) -> None:
    """Write the figure; its bytes depend on the table alone."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    found = zip(table.rows, table.intervals(), strict=True)
    order = sorted(found, key=lambda pair: (pair[0].correct_strict, pair[0].item))
    ranks = list(range(1, len(order) + 1))
    strict = [row.correct_strict / row.n for row, _ in order]
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(FIGURE)
        figure = Figure(figsize=(7.0, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        axis = figure.subplots()
        low, high = ([pair[1][end] for pair in order] for end in (0, 1))
        if len(order) <= BARS:
            axis.vlines(ranks, low, high, color=TRAIN, alpha=0.5, linewidth=1, label="Wilson 95%")
        else:
            axis.fill_between(ranks, low, high, color=TRAIN, alpha=0.25, linewidth=0, label="Wilson 95%")
        axis.plot(ranks, strict, ".", color=TRAIN, markersize=4, label="strict")
        lenient = [row.correct_lenient / row.n for row, _ in order]
        axis.plot(ranks, lenient, ".", color=TEST, markersize=2, label="lenient")
        axis.set(ylim=(-0.02, 1.02), xlabel="items by strict Pass@1", ylabel="base Pass@1")
        header = table.header
        axis.set_title(f"{header.model}, {header.task} ({header.split}), {header.samples} samples each")
        axis.legend(frameon=False, loc="upper left")
        figure.savefig(path, format="svg", metadata={"Date": None})


if TYPE_CHECKING:
    from llm_runs.queries import Difficulties

SHOWN = 20
"""Rows of the table on the terminal: the hardest and the easiest, half each."""
WIDTH = 48
"""Characters of a prompt that are shown."""
SETTINGS = (
    "model",
    "revision",
    "task",
    "train_file",
    "test_file",
    "grader",
    "engine",
    "device",
    "dtype",
    "temperature",
    "prompt_max",
    "max_new",
    "chat",
)


@click.command(name="difficulty")
@click.option("--model", required=True, help="Shipped name, folder, or name on the hub.")
@click.option("--revision", help="Commit or tag of a model on the hub.")
@click.option("--task", required=True, help="As in a study file.")
@click.option("--train-file", help="Questions of the pool, .jsonl or verl's .parquet.")
@click.option("--test-file", help="Held-out questions, likewise.")
@click.option("--grader", help="Grader of the files' answers.")
@click.option("--split", type=click.Choice(["pool", "test"]), default="pool", help="Which items.")
@click.option("--items", type=click.IntRange(min=1), help="The first so many [default: all].")
@click.option("--samples", type=click.IntRange(min=1), default=128, help="Responses per item.")
@click.option("--temperature", type=float, default=1.0, help="Of sampling.")
@click.option("--engine", type=click.Choice(["torch", "vllm"]), default="torch", help="What samples.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", help="Of weights.")
@click.option("--root-seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of the random streams.")
@click.option(
    "--prompt-max", type=click.IntRange(min=1), help="Longest prompt, tokens [default: the task's]."
)
@click.option("--max-new", type=click.IntRange(min=1), help="Longest response, tokens [default: the task's].")
@click.option(
    "--chat/--no-chat",
    default=None,
    help="Write prompts by the tokenizer's chat template [default: where it has one].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The JSON file [default: difficulty-MODEL-TASK-SPLIT.json].",
)
@click.option("--plot", type=click.Path(path_type=Path), help="Also draw it, as SVG.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(out: Path | None, plot: Path | None, *, as_json: bool, **options: Any) -> int:
    """Measure each item's base Pass@1 by sampling, with Wilson's 95% intervals.

    The file goes into a study as `queries = {file = "..."}`. After Ctrl-C the same command goes on.
    """
    from banditrft.worlds import LLMWorld
    from llm_runs.planning import cut_lengths, opened
    from llm_runs.queries import measure

    given = {"seeds": 1} | {k: options[k] for k in SETTINGS if options[k] is not None}
    problems = Problems()
    asked = problems.attempt(parse, LLMWorld, given)
    name = f"difficulty-{Path(given['model']).name}-{given['task']}-{options['split']}.json"
    out = out or Path(name.replace(":", "."))
    problems.attempt(_writable, "--out", out)
    if plot is not None:
        problems.attempt(_writable, "--plot", plot)
    if asked is not None:
        problems.lines += opened(asked)[2]
    problems.settle()
    world = parse(LLMWorld, given)
    for line in cut_lengths(world):
        echo(f"note: {line}", err=True)
    with Board(f"difficulty: {world.model}, {world.task}", 1) as board:
        table = measure(
            world,
            out,
            samples=options["samples"],
            root_seed=options["root_seed"],
            split=options["split"],
            items=options["items"],
            report=lambda done: board.advance("items", done),
        )
    if plot is not None:
        from banditrft.cli.difficulty import draw

        draw(table, plot)
    if as_json:
        print_json(_summary(table) | {"file": str(out)})
    else:
        echo(_text(table, out))
    return 0


def _writable(option: str, path: Path) -> None:
    """Refuse a file that could not be written, before anything is sampled."""
    if path.is_dir():
        raise InputError(f"{option}: must be a file, got the folder {path}")
    if not path.parent.is_dir():
        raise InputError(f"{option}: its folder must be there, got {path}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{option}: must be writable, got {path}")


def _summary(table: Difficulties) -> dict[str, Any]:
    rows = table.rows
    n = sum(row.n for row in rows)
    return {
        "model": table.header.model,
        "task": table.header.task,
        "items": len(rows),
        "left_out": table.header.left_out,
        "samples": table.header.samples,
        "strict": sum(row.correct_strict for row in rows) / n,
        "lenient": sum(row.correct_lenient for row in rows) / n,
    }


def previews(prompts: Sequence[str]) -> list[str]:
    """What tells prompts apart, in a line each: the end of each.

    Of long prompts what begins or ends all of them is left out: examples that stand before every question,
    an instruction behind it.
    """
    lines = [" ".join(prompt.split()) for prompt in prompts]
    if len(set(lines)) > 1 and max(map(len, lines)) > WIDTH:
        first = len(_common_words(lines))
        last = len(_common_words([line[first:][::-1] for line in lines]))
        lines = [line[first : len(line) - last].strip() for line in lines]
    return [line if len(line) <= WIDTH else f"...{line[3 - WIDTH :]}" for line in lines]


def _common_words(lines: Sequence[str]) -> str:
    """The whole words by which all lines begin."""
    low, high = min(lines), max(lines)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: low[:same].rfind(" ") + 1]


def _text(table: Difficulties, out: Path) -> str:
    total = _summary(table)
    order = sorted(zip(table.rows, table.intervals(), strict=True), key=lambda pair: pair[0].correct_strict)
    shown = order if len(order) <= SHOWN else order[: SHOWN // 2] + order[-SHOWN // 2 :]
    lines = [f"{'item':>7}  {'strict':>6}  {'95%':^13}  {'lenient':>7}  prompt"]
    ends = previews([row.prompt for row, _ in shown])
    for place, ((row, (low, high)), end) in enumerate(zip(shown, ends, strict=True)):
        if len(order) > SHOWN and place == SHOWN // 2:
            lines.append(f"{'...':>7}  {len(order) - SHOWN} items between")
        strict, lenient = row.correct_strict / row.n, row.correct_lenient / row.n
        lines.append(f"{row.item:>7}  {strict:6.3f}  [{low:.3f}, {high:.3f}]  {lenient:7.3f}  {end}")
    lines.append(
        f"{total['items']} items x {total['samples']} samples: strict {total['strict']:.4f}, "
        f"lenient {total['lenient']:.4f}"
    )
    if total["left_out"]:
        lines.append(f"left out for their length: {total['left_out']}")
    return "\n".join([*lines, str(out)])
