"""`banditrft predict` for people: one design as a list, a study as a table."""

from collections.abc import Iterator
from typing import Any

from banditrft.cli.common import echo

COLUMNS = {
    "mean_rounds": "rounds",
    "sd_rounds": "sd",
    "quantiles": "5% to 95%",
    "rollouts_mean": "rollouts",
    "tokens_mean": "tokens",
    "zero_signal_fraction": "no signal",
    "snr": "snr",
}
WIDEST = 140
"""Columns that a study's table may use even where the terminal says it has fewer."""
NO_WORLD = (
    "no simulated world in {study}. A language model is predicted as the bandit that learns like it, for "
    "which it takes the queries' base Pass@1 (`banditrft difficulty`) and the step in log-odds that its "
    "learning rate amounts to (`banditrft fit` on the records of one condition); then: banditrft predict "
    "--p0 BASE --learning-rate STEP, or add a [[sim]] table to the study (docs/theory.md, section 9)"
)
"""Said of a study of language models alone."""
NAMES = {
    "method": "method",
    "p0": "base Pass@1",
    "target": "target Pass@1",
    "mean_rounds": "rounds",
    "mean_range": "mean lies within",
    "sd_rounds": "sd over seeds",
    "quantiles": "rounds by quantile",
    "rounds_with_wait": "with the first wait",
    "rollouts_mean": "rollouts",
    "tokens_mean": "tokens",
    "zero_signal_fraction": "groups without signal",
    "snr": "signal-to-noise",
    "drift": "drift",
}


def print_design(found: dict[str, Any]) -> None:
    """One design's prediction, its neighbours and its warnings."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, label in NAMES.items():
        if found.get(name) is not None:
            table.add_row(label, readable(found[name]))
    for label, value in (*_ceiling(found["ceiling"]), *_neighbours(found["what_if"])):
        table.add_row(label, value)
    if "curve" in found:
        table.add_row("curve", readable(found["curve"]))
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    for note in found["notes"]:
        console.print(f"note: {note}", markup=False)


def print_study(found: dict[str, Any]) -> None:
    """A study's predictions, one row per condition; what has no closed form says why."""
    from rich.console import Console
    from rich.table import Table

    cells = found["cells"]
    if not cells:
        echo(NO_WORLD.format(study=found["study"]))
        return
    known = [cell for cell in cells if cell["method"] is not None]
    shown = [key for key in COLUMNS if any(cell[key] is not None for cell in known)]
    table = Table(box=None, pad_edge=False)
    for head in ("world", "condition", "method"):
        table.add_column(head, no_wrap=True)
    for key in shown:
        table.add_column(COLUMNS[key], justify="right", no_wrap=True)
    for cell in known:
        table.add_row(cell["world"], cell["condition"], cell["method"], *(_short(cell[key]) for key in shown))
    console = Console(width=max(Console().width, WIDEST), soft_wrap=True, highlight=False)
    console.print(table)
    for cell in cells:
        where = f"{cell['world']}, {cell['condition']}"
        if cell["method"] is None:
            console.print(f"{where}: no closed form: {'; '.join(cell['notes'])}", markup=False)
            continue
        for label, value in (*_ceiling(cell["ceiling"]), *_neighbours(cell["what_if"])):
            console.print(f"{where}: {label} {value}", markup=False)
        if "curve" in cell:
            console.print(f"{where}: curve {readable(cell['curve'])}", markup=False)
        for note in cell["notes"]:
            console.print(f"{where}: {note}", markup=False)


def _ceiling(found: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if found is None:
        return
    yield (
        "test Pass@1",
        f"{found['base_test_pass_at_1']:.4g} before, {found['test_pass_at_1']:.4g} at the target",
    )
    if found["hardest_gain"] is None:
        yield "difficulty ceiling", "no query lifts the test set"
    elif found["hardest_gain"] == 0.0:
        yield "difficulty ceiling", "none: queries of any base lift the test set"
    else:
        yield "difficulty ceiling", f"queries below base {found['hardest_gain']:.3g} lower the test set"


def _neighbours(found: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if found is None:
        return
    for key, label in (("double_rollouts", "twice the rollouts"), ("double_batch", "twice the batch")):
        change = found[key]
        if change is None or change["rounds_ratio"] is None:
            yield label, "no closed form"
        else:
            yield (
                label,
                f"{change['rounds_ratio']:.3g} x as fast, {change['compute_ratio']:.3g} x the rollouts",
            )
    if found["advantage"] is not None:
        yield "speed over raw", f"{found['advantage']:.3g} x at the same learning rate"
    if found["advantage_matched"] is not None:
        factor = found["matching_factor"]
        yield "speed over raw, matched", f"{found['advantage_matched']:.3g} x (signal times {factor:.3g})"
    best = found["best_split"]
    if best is not None:
        yield "best split", f"{best['batch_size']} queries x {best['rollouts']} rollouts"


def readable(value: Any) -> str:
    """A value for people."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {readable(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(readable(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"{value['0.05']:.4g} to {value['0.95']:.4g}"
    return readable(value)
