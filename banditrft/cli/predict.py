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
CONTEXTUAL = ("dimension", "transfer", "alignment", "misalignment", "noise")


def _option(name: str, field: FieldInfo) -> click.Option:
    """A command-line option from one Design field; pydantic checks the value."""
    flag, help_ = ["--" + name.replace("_", "-"), name], field.description or ""
    if field.annotation is bool:
        return click.Option(flag, is_flag=True, default=None, help=help_)
    default = ROUNDS if name == "rounds" else None if field.is_required() else field.default
    if default is not None:
        help_ += f" [default: {default}]"
    if name == "betas":
        return click.Option(flag, type=float, nargs=2, default=None, help=help_)
    kinds: dict[Any, Any] = {int: int, float: float}
    choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
    kind = click.Choice(choices) if choices and len(choices) == len(get_args(field.annotation)) else str
    return click.Option(flag, type=kinds.get(field.annotation, kind), default=None, help=help_)


def _design(values: dict[str, Any]) -> Design:
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("grad_clip", "rate"):
        if given.get(name) not in (None, "base"):
            given[name] = _number(given[name])
    return parse(Design, {"rounds": ROUNDS} | given)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@click.command(name="predict")
@click.argument("study", metavar="[STUDY]", required=False)
@click.option("--p0", type=float, help="Base Pass@1 of the query, in (0, 1).")
@click.option("--num-arms", type=int, default=1000, help="Arms (distinct responses), K.")
@click.option("--num-correct", type=int, default=1, help="Correct arms, m.")
@click.option("--shared", type=float, default=0.0, help="Strength of parameters that a class shares, kappa.")
@click.option(
    "--contextual", is_flag=True, help="The contextual world, with a test set, not the tabular one."
)
@click.option("--dimension", type=int, help="Contextual world: d, length of a context.")
@click.option("--transfer", type=float, help="Contextual world: |mu|.")
@click.option("--alignment", type=float, help="Contextual world: c.")
@click.option("--misalignment", type=float, help="Contextual world: nu.")
@click.option("--noise", type=float, help="Contextual world: sigma.")
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
    """
    from banditrft.cli.predict_plan import Wanted, plan_design, plan_study

    if plot is not None and plot.suffix != ".svg":
        raise InputError(f"--plot: must name an .svg file, got {plot}")
    where = {name: fields.pop(name) for name in ("num_arms", "num_correct", "shared", "contextual")}
    where |= {name: fields.pop(name) for name in CONTEXTUAL}
    p0 = fields.pop("p0")
    if study is not None:
        given = [name for name, value in {"p0": p0, **fields}.items() if value is not None]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')}: STUDY says it already, got both")
        wanted = Wanted(target, tokens_per_rollout, budget, bool(what_if), with_curve, plot)
        found = plan_study(find_study(study), wanted)
        print_json(found) if as_json else predict_text.print_study(found)
        return 0
    if p0 is None:
        raise InputError("--p0: is required without STUDY")
    wanted = Wanted(target, tokens_per_rollout, budget, what_if is not False, with_curve, plot)
    found = plan_design(_design(fields), p0, where, wanted)
    print_json(found) if as_json else predict_text.print_design(found)
    return 0


command.params += [_option(name, field) for name, field in Design.model_fields.items()]
