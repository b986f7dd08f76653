"""`banditrft grade FILE.jsonl`: strict and lenient grades of responses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from banditrft.cli.common import echo, print_json

if TYPE_CHECKING:
    from llm_runs.graders import Grade

TASKS = ("gsm8k", "math", "arithmetic")
VERDICTS = ("strict", "lenient", "timed_out")


@click.command(name="grade")
@click.argument("file", metavar="FILE.jsonl", type=click.Path(path_type=Path))
@click.option("--task", type=click.Choice(TASKS), required=True, help="Whose rules to grade by.")
@click.option("--timeout-s", type=float, help="Seconds per response, for math-verify [default: 5].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(file: Path, task: str, timeout_s: float | None, as_json: bool) -> int:
    """Grade each line of FILE.jsonl (fields response, answer) strictly and leniently.

    The intervals are Wilson's at 95%, which take the lines for independent.
    """
    from llm_runs.graders import load_grader
    from llm_runs.tasks import read_responses

    with load_grader(task, timeout_s=timeout_s) as grader:
        rows = read_responses(file, grader.reference)
        grades = grader.grade_many([row.response for row in rows], [row.answer for row in rows])
    totals = _totals(grades)
    if as_json:
        lines = [
            {"line": i, **{name: getattr(grade, name) for name in VERDICTS}}
            for i, grade in enumerate(grades, 1)
        ]
        print_json({"lines": lines, "totals": totals})
    else:
        echo(_table(grades, totals))
    return 0


def _totals(grades: list[Grade]) -> dict[str, Any]:
    from banditrft.passk import wilson

    n = len(grades)
    totals: dict[str, Any] = {"n": n}
    for name in ("strict", "lenient"):
        correct = sum(getattr(grade, name) for grade in grades)
        low, high = wilson(n, correct)
        totals[name] = {"correct": correct, "fraction": correct / n, "interval": [float(low), float(high)]}
    return totals | {"timed_out": sum(grade.timed_out for grade in grades)}


def _table(grades: list[Grade], totals: dict[str, Any]) -> str:
    lines = [f"{'line':>6}  {'strict':8}lenient"]
    for i, grade in enumerate(grades, 1):
        late = "  timed out" if grade.timed_out else ""
        lines.append(f"{i:>6}  {_word(grade.strict):8}{_word(grade.lenient)}{late}")
    for name in ("strict", "lenient"):
        total = totals[name]
        low, high = total["interval"]
        lines.append(
            f"{name}: {total['correct']}/{totals['n']} = {total['fraction']:.4f}  [{low:.4f}, {high:.4f}]"
        )
    if totals["timed_out"]:
        lines.append(f"timed out: {totals['timed_out']} (graded leniently as strictly)")
    return "\n".join(lines)


def _word(verdict: bool) -> str:
    return "right" if verdict else "wrong"
