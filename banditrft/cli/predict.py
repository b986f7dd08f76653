"""`banditrft predict`: closed forms for a planned run or study. Its flags are the fields of a Design."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
from pydantic.fields import FieldInfo

from banditrft.cli.common import echo, find_study, print_json
from banditrft.design import Design, parse
from banditrft.errors import InputError

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


ROUNDS = 1000
"""`rounds` of a prediction that names none: the curve's length; it does not change the hitting time."""
TABULAR = {"num_arms": 1000, "num_correct": 1, "shared": 0.0}
"""Flags of the tabular world and their defaults."""
CONTEXTUAL = ("dimension", "transfer", "alignment", "misalignment", "noise")
SEQUENCE = ("tokens", "profile", "geometry", "tree", "vocabulary")
HELP = {
    "learning_rate": "step of a logit (with --contextual of a weight), eta: under Adam a round moves the "
    "log-odds by up to 2 eta. The learning rate of a language model moves weights and is another number, "
    "see above",
}
"""What a field means here, where that is more than its description says."""


def _option(name: str, field: FieldInfo) -> click.Option:
    """A command-line option from one Design field; pydantic checks the value."""
    flag, help_ = ["--" + name.replace("_", "-"), name], HELP.get(name, field.description or "")
    if field.annotation is bool:
        return click.Option(flag, is_flag=True, default=None, help=help_)
    default = ROUNDS if name == "rounds" else None if field.is_required() else field.default
    if default is not None:
        help_ += f" [default: {default}]"
    if name == "betas":
        return click.Option(flag, type=float, nargs=2, default=None, help=help_)
    kinds: dict[Any, Any] = {int: int, float: float}
    choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
    # frameworks' names of an aggregation are understood, so its choices are not all there is
    closed = bool(choices) and len(choices) == len(get_args(field.annotation)) and name != "aggregation"
    kind = click.Choice(choices) if closed else str
    return click.Option(flag, type=kinds.get(field.annotation, kind), default=None, help=help_)


def _design(values: dict[str, Any]) -> Design:
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("grad_clip", "rate", "dual_clip"):
        if isinstance(given.get(name), str):
            given[name] = _number(given[name])
    return parse(Design, {"rounds": ROUNDS} | given)


def _place(where: dict[str, Any]) -> dict[str, Any]:
    """Flags of the world that was asked for; those of the other one are refused."""
    where = {name: value for name, value in where.items() if value is not None}
    contextual = bool(where.pop("contextual", False))
    sequence = "tokens" in where or "profile" in where
    if sequence:
        if contextual:
            raise InputError("--contextual: belongs to another world than --tokens and --profile, got both")
        where = {name: _profile(value) if name == "profile" else value for name, value in where.items()}
    for name in where:
        if name in SEQUENCE and not sequence:
            raise InputError(f"--{name}: belongs to --tokens or --profile, neither of which is given")
        if sequence and name in TABULAR:
            raise InputError(
                f"--{name.replace('_', '-')}: belongs to the tabular world, got --tokens or --profile too"
            )
        if contextual and name in TABULAR:
            raise InputError(
                f"--{name.replace('_', '-')}: belongs to the tabular world, got --contextual too"
            )
        if not contextual and name in CONTEXTUAL:
            raise InputError(f"--{name}: belongs to --contextual, which is not given")
    return {"contextual": contextual} | ({} if contextual or sequence else TABULAR) | where


def _profile(file: str) -> tuple[float, ...]:
    """Probabilities of the right token, one per line or separated by blanks or commas."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--profile: {file}: cannot be read ({error})") from None
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise InputError(f"--profile: {file}: must hold numbers, {error}") from None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@click.command(name="predict")
@click.argument("study", metavar="[STUDY]", required=False)
@click.option("--p0", type=float, help="Base Pass@1 of the query, in (0, 1).")
@click.option(
    "--num-arms", type=int, help="K, arms: the distinct responses a policy chooses from [default: 1000]."
)
@click.option("--num-correct", type=int, help="m, how many of them are correct [default: 1].")
@click.option(
    "--shared", type=float, help="kappa, strength of a parameter that all arms of a class share [default: 0]."
)
@click.option(
    "--contextual",
    is_flag=True,
    default=None,
    help="The contextual world, with a test set, not the tabular one.",
)
@click.option("--dimension", type=int, help="Contextual: d, features of a query [default: 64].")
@click.option(
    "--transfer",
    type=float,
    help="Contextual: |mu|, what all queries have in common; 0: nothing generalises [2.0].",
)
@click.option("--alignment", type=float, help="Contextual: c, how far the base policy points along mu [0.3].")
@click.option(
    "--misalignment", type=float, help="Contextual: nu, length of base weights that point elsewhere [0.9]."
)
@click.option("--noise", type=float, help="Contextual: sigma, how much queries differ, per feature [1.0].")
@click.option("--tokens", type=int, help="Sequence: T, positions of a response, equally likely to be right.")
@click.option(
    "--profile",
    metavar="FILE",
    help="Sequence: instead of --p0 and --tokens, P(right token) of each position.",
)
@click.option(
    "--geometry",
    type=click.Choice(["direction", "table"]),
    help="Sequence: one trained gap a position, or a logit for every option [direction].",
)
@click.option(
    "--tree", is_flag=True, default=None, help="Sequence: a token after a wrong one has own parameters."
)
@click.option("--vocabulary", type=int, help="Sequence: V, options of a position [2].")
@click.option("--target", type=float, default=0.99, help="Pass@1 that counts as converged.")
@click.option("--tokens-per-rollout", type=float, help="Mean length of a response, for the tokens spent.")
@click.option("--budget", type=int, help="Rollouts a round: how best to split them into queries and groups.")
@click.option(
    "--what-if/--no-what-if", default=None, help="Compare with neighbours [default: not for STUDY]."
)
@click.option("--curve", "with_curve", is_flag=True, help="Also give the predicted Pass@1 of every round.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it to this SVG file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    study: str | None,
    target: float,
    tokens_per_rollout: float | None,
    budget: int | None,
    what_if: bool | None,
    with_curve: bool,
    plot: Path | None,
    as_json: bool,
    **fields: Any,
) -> int:
    """Predict rounds, rollouts and spread, wasted groups and signal-to-noise before anything is run.

    Of one design, given by flags, or of every condition in the simulated worlds of STUDY. Exact for one
    rollout, the raw reward, SGD and one correct arm; a mean-field recursion with its spread elsewhere.

    --learning-rate is a step of logits, not of a language model's weights: at 1e-6 a bandit needs millions of
    rounds. To predict a language model, measure its step on one cheap condition and give that. Tiny models
    trained by Adam at 1e-4 moved like bandits at .04 to .3, by SGD at .01 like bandits at .2 to .4
    (docs/theory.md, section 9).
    """
    from banditrft.cli.predict_plan import Wanted, plan_design, plan_study

    if plot is not None and plot.suffix != ".svg":
        raise InputError(f"--plot: must name an .svg file, got {plot}")
    where = {name: fields.pop(name) for name in (*TABULAR, "contextual", *CONTEXTUAL, *SEQUENCE)}
    p0 = fields.pop("p0")
    if study is not None:
        given = [name for name, value in {"p0": p0, **where, **fields}.items() if value is not None]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')}: STUDY says it already, got both")
        wanted = Wanted(target, tokens_per_rollout, budget, bool(what_if), with_curve, plot)
        found = plan_study(find_study(study), wanted)
        print_json(found) if as_json else print_study(found)
        return 0
    if p0 is None and where["tokens"] is None and where["profile"] is None:
        raise InputError("--p0: is required without STUDY")
    wanted = Wanted(target, tokens_per_rollout, budget, what_if is not False, with_curve, plot)
    found = plan_design(_design(fields), p0, _place(where), wanted)
    print_json(found) if as_json else print_design(found)
    return 0


command.params += [_option(name, field) for name, field in Design.model_fields.items()]
