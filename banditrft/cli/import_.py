"""`banditrft import TOOL PATH...`: logs of other trainers as records."""

import re
import shlex
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from banditrft.cli.common import echo, print_json
from banditrft.errors import InputError
from banditrft.study import read_tables

if TYPE_CHECKING:
    from analysis.importing import Imported
    from analysis.loading.records import Records

TOOLS = ("trl", "verl", "table")
NEXT = r",(?=\s*[a-z_]+=)"
"""What separates the pairs of one --map; a column's name may hold commas too."""
WIDTH, SHOWN = 100, 6
"""Columns of a paragraph, and conditions that are listed."""


def pairs(option: str, values: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE pairs of an option."""
    found: dict[str, str] = {}
    for pair in values:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not name or not value:
            raise InputError(f"{option}: must be NAME=VALUE, got {pair!r}")
        if name in found:
            raise InputError(f"{option}: {name!r} is given twice")
        found[name] = value
    return found


def settings(values: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """[CONDITION:]FIELD=VALUE; values are read as in a study file, else as text."""
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        left, equals, text = value.partition("=")
        condition, _, name = left.rpartition(":")
        if not equals or not re.fullmatch(r"\w+", name):
            raise InputError(f"--set: must be [CONDITION:]FIELD=VALUE, got {value!r}")
        try:
            parsed = read_tables(f"x = {text}")["x"]
        except InputError:
            parsed = text
        found.setdefault(condition, {})[name] = parsed
    return found


def own_claims(file: Path | None) -> list[dict[str, Any]]:
    """The tables [[own_claims]] of a file that holds nothing else; none without one."""
    if file is None:
        return []
    try:
        found = read_tables(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    tables = found.get("own_claims")
    if set(found) != {"own_claims"} or not isinstance(tables, list):
        raise InputError(f"{file}: must hold tables [[own_claims]] and nothing else, got {', '.join(found)}")
    return tables


@click.command(name="import")
@click.argument("tool", type=click.Choice(TOOLS))
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    help="Folder of all records.",
)
@click.option("--study", default="imported", help="Name of the study, a folder in --out.")
@click.option(
    "--condition", "conditions", multiple=True, help="Name of all runs' condition, or one per PATH."
)
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="OUR=THEIRS",
    help="Columns: step, reward, reward_min, reward_max, test, grad_norm, clip_fraction, "
    "zero_signal_fraction, condition, seed, a design field; THEIRS% is in percent.",
)
@click.option(
    "--set",
    "set_",
    multiple=True,
    metavar="[CONDITION:]FIELD=VALUE",
    help="A design field that the logs do not say.",
)
@click.option("--samples", type=int, help="Responses behind a step's mean reward: prompts x rollouts.")
@click.option("--test-samples", type=int, help="Responses behind a test evaluation.")
@click.option(
    "--log-every",
    type=int,
    help="Steps that a row's mean reward covers [default: what the log says, else 1].",
)
@click.option(
    "--scale",
    type=(float, float),
    metavar="LOW HIGH",
    help="Rewards of a wrong and of a right answer [default: by --set reward=, or the log's min and max].",
)
@click.option("--test-scale", type=(float, float), metavar="LOW HIGH", help="The same of test evaluations.")
@click.option("--common-rounds", is_flag=True, help="Leave out rounds that not all runs of a condition have.")
@click.option(
    "--rollouts", type=int, help="Rollouts behind each fraction of a JSON file {item: [fraction, ...]}."
)
@click.option(
    "--rows",
    "chosen",
    multiple=True,
    metavar="COLUMN=REGEX",
    help="Of a table, the rows in which the column matches.",
)
@click.option("--model", help="Model that was trained.")
@click.option("--task", help="Questions it was trained on.")
@click.option("--world", default="", help="Name of the world [default: the model, or the tool].")
@click.option("--single-query", is_flag=True, help="Each run trained on one query, the same for every seed.")
@click.option("--claim", "claims", multiple=True, help="Claim to test in the report, by id.")
@click.option(
    "--claims",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TOML file with [[own_claims]] to test, as in a study file.",
)
@click.option("--replace", "replace_old", is_flag=True, help="Replace an earlier import of that name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    tool: str,
    paths: tuple[Path, ...],
    out: Path,
    study: str,
    conditions: tuple[str, ...],
    mapped: tuple[str, ...],
    set_: tuple[str, ...],
    chosen: tuple[str, ...],
    as_json: bool,
    claims: tuple[str, ...],
    file: Path | None,
    replace_old: bool,
    scale: tuple[float, float] | None,
    test_scale: tuple[float, float] | None,
    **said: Any,
) -> int:
    """Turn logs of another trainer (trl, verl) or a plain table into records of a study.

    Each PATH is a run, but in a table that holds several. What the logs do not say is listed as unknown and
    never filled in; --set, --samples and the like say it.
    """
    import analysis
    from analysis import importing

    options = importing.Options(
        columns=pairs("--map", [pair for value in mapped for pair in re.split(NEXT, value)]),
        settings=settings(set_),
        rows=pairs("--rows", chosen),
        conditions=conditions,
        scale=None if scale is None else importing.Scale(*scale),
        test_scale=None if test_scale is None else importing.Scale(*test_scale),
        **said,
    )
    read = {"trl": importing.read_trl, "verl": importing.read_verl, "table": importing.read_table}[tool]
    found = read(paths, options)
    typed = shlex.join(["banditrft", *sys.argv[1:]])
    root = importing.write(found, out, study, claims, own_claims(file), typed, replace_old=replace_old)
    summary = describe(found, analysis.load(root), root)
    if as_json:
        print_json(summary)
    else:
        echo(text(summary))
    return 0


def describe(found: "Imported", records: "Records", root: Path) -> dict[str, Any]:
    """What was read, what is missing and what can be done with it, as JSON values."""
    cells = {
        cell.condition: {
            "runs": cell.n,
            "train_evaluations": int(cell.rounds.size),
            "train_responses": int(cell.train_samples.sum()),
            "test_evaluations": int(cell.test_rounds.size),
            "base_tested": cell.has_test,
            "unknown": list(cell.unknown),
        }
        for cell in records.cells
    }
    return {
        "records": str(root),
        "world": found.world.name,
        "tool": found.world.tool,
        "conditions": cells,
        "missing": list(found.world.missing),
        "possible": possible(records),
    }


def possible(records: "Records") -> dict[str, str]:
    """What the records can be used for: yes, or no and why."""
    from banditrft.claims import in_force

    trained = any(cell.has_train for cell in records.cells)
    tested = any(cell.has_test for cell in records.cells)
    measured = [cell for cell in records.cells if cell.has_train or cell.has_test]
    several = [cell for cell in measured if cell.n > 1]
    lone = "no: one run of each condition, and the run is the unit"
    bare = "no: neither a training curve nor a tested base policy"
    compared = "yes" if several else lone if measured else bare
    return {
        "fit of the training curve": "yes" if trained else "no: no counts of training responses",
        "gains on the test set": "yes" if tested else "no: the base policy has no test evaluation",
        "verdicts": compared,
        "power": compared if in_force(records.study) else "no: no claims (--claim, --claims)",
        "comparisons of conditions": "yes"
        if len(several) > 1
        else "no: only one condition"
        if len(records.cells) < 2
        else lone
        if measured
        else bare,
    }


def text(summary: dict[str, Any]) -> str:
    """The summary for people."""
    lines = [f"world {summary['world']} (from {summary['tool']})"]
    for name, cell in list(summary["conditions"].items())[:SHOWN]:
        runs = "1 run" if cell["runs"] == 1 else f"{cell['runs']} runs"
        lines.append(
            f"  {name}: {runs}, {cell['train_evaluations']} points of training "
            f"({cell['train_responses']} responses), {cell['test_evaluations']} of test"
        )
    if (more := len(summary["conditions"]) - SHOWN) > 0:
        lines.append(f"  ... and {more} more conditions")
    cells = list(summary["conditions"].values())
    unknown = list(dict.fromkeys(name for cell in cells for name in cell["unknown"]))
    lines += ["missing:", *(_indented(sentence) for sentence in summary["missing"])]
    lines += ["unknown settings (--set says them):", _indented(", ".join(unknown) or "none")]
    lines += ["possible:", *(f"  {what}: {word}" for what, word in summary["possible"].items())]
    return "\n".join([*lines, f"records: {summary['records']}"])


def _indented(paragraph: str) -> str:
    return textwrap.fill(paragraph, WIDTH, initial_indent="  ", subsequent_indent="    ")
