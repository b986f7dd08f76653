"""`banditrft predict`: closed forms for a planned run or study. Its flags are the fields of a Design."""

from pathlib import Path
from typing import Any, get_args

import click
from pydantic.fields import FieldInfo

from banditrft.cli import predict_text
from banditrft.cli.common import find_study, print_json
from banditrft.design import Design, parse
from banditrft.errors import InputError

ROUNDS = 1000
"""`rounds` of a prediction that names none: the curve's length; it does not change the hitting time."""
TABULAR = {"num_arms": 1000, "num_correct": 1, "shared": 0.0}
"""Flags of the tabular world and their defaults."""
CONTEXTUAL = ("dimension", "transfer", "alignment", "misalignment", "noise")
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
    for name in where:
        if contextual and name in TABULAR:
            raise InputError(
                f"--{name.replace('_', '-')}: belongs to the tabular world, got --contextual too"
            )
        if not contextual and name in CONTEXTUAL:
            raise InputError(f"--{name}: belongs to --contextual, which is not given")
    return {"contextual": contextual} | ({} if contextual else TABULAR) | where


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
    where = {name: fields.pop(name) for name in (*TABULAR, "contextual", *CONTEXTUAL)}
    p0 = fields.pop("p0")
    if study is not None:
        given = [name for name, value in {"p0": p0, **where, **fields}.items() if value is not None]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')}: STUDY says it already, got both")
        wanted = Wanted(target, tokens_per_rollout, budget, bool(what_if), with_curve, plot)
        found = plan_study(find_study(study), wanted)
        print_json(found) if as_json else predict_text.print_study(found)
        return 0
    if p0 is None:
        raise InputError("--p0: is required without STUDY")
    wanted = Wanted(target, tokens_per_rollout, budget, what_if is not False, with_curve, plot)
    found = plan_design(_design(fields), p0, _place(where), wanted)
    print_json(found) if as_json else predict_text.print_design(found)
    return 0


command.params += [_option(name, field) for name, field in Design.model_fields.items()]
