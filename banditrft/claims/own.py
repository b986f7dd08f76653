"""Claims that a study states itself, in tables ``[[own_claims]]`` of its file: by type, checked, made claims.

A table names conditions by their names or by the fields of their designs, and always a margin. What a type
reads, and in which unit its margin is, stands with its class; :data:`TYPES` lists them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from banditrft.claims import protocols
from banditrft.claims.conditions import Fields, conditions, placebo_conditions
from banditrft.claims.protocols import Claim, Named
from banditrft.design import Count, Design, Frozen, NonNegative, Probability, parse
from banditrft.errors import InputError, Problems
from banditrft.names import LONGEST

Table = dict[str, Any]
Pick = Annotated[str, Field(min_length=1)] | Table
"""A condition by its name, or by the fields of its design: ``{rollouts = 4, optimizer = "adam"}``."""
Factor = Annotated[float, Field(ge=1, allow_inf_nan=False)]
OpenProbability = Annotated[float, Field(gt=0, lt=1)]


class Own(Frozen):
    """What every table holds.

    Attributes:
        id: Names the claim in verdicts; no id of the ledger.
        type: One of `TYPES`.
        statement: The claim in words, as the report shows it.
        source: Where it comes from.
        worlds: Worlds that it is read in; all by default.
        secondary: Kept out of Holm's family and corrected by Benjamini and Hochberg instead.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST)]
    type: str
    statement: Annotated[str, Field(min_length=1)]
    source: str = "the study"
    worlds: Annotated[tuple[str, ...], Field(strict=False)] = ()
    secondary: bool = False

    makes: ClassVar[Callable[..., Claim]]
    """The type of claim that it states."""
    preregisters: ClassVar[tuple[str, str, str]]
    """Estimand, test and decision."""

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return {}

    def named(self) -> tuple[Any, ...]:
        """The conditions that it names: A, then B; or its one ladder."""
        return tuple(wanted for _, wanted in self.picks())

    def picks(self) -> Iterator[tuple[str, Pick]]:
        """The single conditions that it names, by field."""
        for name in ("a", "b"):
            wanted = getattr(self, name, None)
            if wanted is not None:
                yield name, wanted


class _Curve(Own):
    """Threshold of train Pass@1 that counts, and until when."""

    threshold: OpenProbability = 0.90
    consecutive: Annotated[int, Field(ge=1, le=100)] = 2
    horizon: Count | None = Field(None, description="last round that counts; None is the end of the runs")

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return {"pass_at_1": self.threshold, "consecutive": self.consecutive, "horizon": self.horizon}


class Faster(_Curve):
    """A reaches the threshold in fewer rounds than B; margin: least ratio of times, B's over A's."""

    makes = protocols.Speedup
    preregisters = (
        "ratio of hitting times of train Pass@1, B's over A's",
        "permutation log-rank on right-censored times, one-sided, inverted for the ratio; sign test "
        "against every placebo",
        "supported if the lower bound exceeds the margin, refuted if the upper bound is below it; "
        "neither, unless A reaches the threshold before every placebo",
    )

    type: Literal["faster"]
    a: Pick
    b: Pick
    margin: Factor

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return super().parameters() | {"margin": self.margin}


class NoBetter(Own):
    """A ends no better than B; margin: in probability, .02 is two points; `two_sided`: nor worse."""

    makes = protocols.NoGain
    preregisters = (
        "final Pass@1 of A minus that of B",
        "paired TOST",
        "supported if the difference lies inside the margin, refuted if it is a gain beyond it (with "
        "two_sided also a loss); neither, unless A or B ends above every placebo",
    )

    type: Literal["no-better"]
    a: Pick
    b: Pick
    margin: OpenProbability
    split: Literal["train", "test"] = "test"
    two_sided: bool = False

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return {"margin_points": self.margin, "split": self.split, "two_sided": self.two_sided}


class MoreVariable(Own):
    """A differs more from seed to seed than B; margin: least ratio of their spreads.

    On "train" the area under the training curve is compared, on "test" the final Pass@1.
    """

    makes = protocols.SpreadRatio
    preregisters = (
        "ratio of the spreads over seeds within queries, A over B",
        "paired Brown-Forsythe, one-sided, inverted for the ratio",
        "supported if the lower bound exceeds the margin, refuted if the upper bound is below it",
    )

    type: Literal["more-variable"]
    a: Pick
    b: Pick
    margin: Factor
    split: Literal["train", "test"] = "train"

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return {"margin": self.margin, "split": self.split}


class BelowBase(Own):
    """A ends below the base policy and below every placebo; margin: by more than this, in probability."""

    makes = protocols.Decline
    preregisters = (
        "final Pass@1 minus that of the base policy, and minus that of every placebo",
        "one-sided paired t over runs",
        "supported if every upper bound is below minus the margin; refuted if one lower bound is above "
        "it, at its corrected level",
    )

    type: Literal["below-base"]
    a: Pick
    margin: NonNegative
    split: Literal["train", "test"] = "test"

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return {"margin": self.margin, "split": self.split}


class FailsToLearn(_Curve):
    """Runs of A do not reach the threshold; margin: more than this fraction; `b`: and more often than B's."""

    makes = protocols.Fails
    preregisters = (
        "fraction of runs without a hit of the threshold by the horizon; with B the risk difference",
        "exact binomial; Boschloo",
        "supported if the fraction's lower bound exceeds the margin and, with B, the difference is above "
        "0; refuted if one part is, at its corrected level; the difference says nothing unless B reaches "
        "the threshold before every placebo",
    )

    type: Literal["fails"]
    a: Pick
    b: Pick | None = None
    margin: Probability

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return super().parameters() | {"fraction": self.margin}


class BestAt(Own):
    """Over conditions that differ in one field, the final Pass@1 is best near a value of it.

    `at` is that value, the margin a factor around it; the conditions at both ends must do worse than the
    one at `at`, which must be among them.
    """

    makes = protocols.Optimum
    preregisters = (
        "place of the maximum of a quadratic in log2 of the field; differences to both ends",
        "Fieller's interval over seeds; one-sided paired t of the two contrasts",
        "supported if the interval lies within the factor and both ends are worse; refuted if one part is, "
        "at its corrected level; neither, unless the claimed best ends above every placebo",
    )

    type: Literal["optimum"]
    conditions: Annotated[tuple[str, ...], Field(strict=False)] | Table
    field: str
    at: Annotated[float, Field(gt=0, strict=False)]
    margin: Annotated[float, Field(gt=1, allow_inf_nan=False, strict=False)]
    split: Literal["train", "test"] = "test"

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return {"field": self.field, "at": self.at, "factor": self.margin, "fewest": 3, "split": self.split}

    def named(self) -> tuple[Any, ...]:
        """Its ladder."""
        return (self.conditions,)


class AddsLittle(Own):
    """Over conditions that differ in one field, more of it adds little; margin: per doubling, in probability.

    `two_sided`: nor does it take away.
    """

    makes = protocols.Trend
    preregisters = (
        "slope of final Pass@1 in log2 of the field",
        "least-squares slope per seed, TOST over seeds",
        "supported if the slope lies inside the margin, refuted if it is a gain beyond it (with two_sided "
        "also a loss); neither, unless one condition ends above every placebo",
    )

    type: Literal["trend"]
    conditions: Annotated[tuple[str, ...], Field(strict=False)] | Table
    field: str
    margin: OpenProbability
    split: Literal["train", "test"] = "test"
    two_sided: bool = False

    def parameters(self) -> dict[str, Any]:
        """The settings of its type of claim."""
        return {
            "field": self.field,
            "margin": self.margin,
            "fewest": 3,
            "split": self.split,
            "two_sided": self.two_sided,
        }

    def named(self) -> tuple[Any, ...]:
        """Its ladder."""
        return (self.conditions,)


TYPES: dict[str, type[Own]] = {
    "faster": Faster,
    "no-better": NoBetter,
    "more-variable": MoreVariable,
    "below-base": BelowBase,
    "fails": FailsToLearn,
    "optimum": BestAt,
    "trend": AddsLittle,
}


def parse_own(table: Mapping[str, Any], where: str) -> Own:
    """One table, strictly.

    Raises:
        InputError: Names every field that is wrong; `where` stands before it.
    """
    kind = table.get("type")
    if kind not in TYPES:
        raise InputError(f"{where}.type: must be one of {', '.join(TYPES)}, got {kind!r}")
    return parse(TYPES[str(kind)], dict(table), where)


def own_claim(spec: Own) -> Claim:
    """The claim that a table states, of the same type as one of the ledgers."""
    estimand, test, decision = spec.preregisters
    named = Named(spec.model_dump(mode="json"), spec.named(), spec.worlds, spec.secondary)
    return spec.makes(
        id=spec.id,
        statement=spec.statement,
        source=spec.source,
        numbers="none",
        estimand=estimand,
        test=test,
        decision=decision,
        own=named,
        **spec.parameters(),
    )


def own_claims(
    tables: Sequence[Mapping[str, Any]],
    designs: Mapping[str, Mapping[str, Design]],
    taken: Sequence[str],
) -> tuple[Claim, ...]:
    """All tables of a study, checked against its conditions.

    Args:
        tables: As they stand in the file.
        designs: World -> condition -> design.
        taken: Ids of the ledger.

    Raises:
        InputError: Lists every field that is wrong.
    """
    problems = Problems()
    found: list[Own] = []
    for i, table in enumerate(tables):
        where = f"own_claims[{i}]"
        spec = problems.attempt(parse_own, table, where)
        if spec is None:
            continue
        if spec.id in taken or spec.id in (other.id for other in found):
            problems.lines.append(f"{where}.id: must be an id of its own, got {spec.id!r}")
        found.append(spec)
        problems.attempt(_check, spec, designs, where)
    problems.settle()
    return tuple(own_claim(spec) for spec in found)


def pick(designs: Mapping[str, Design], wanted: Pick) -> list[str]:
    """Names of one world's conditions that fit; fields that do not name the reward fit no placebo."""
    if isinstance(wanted, str):
        return [wanted] if wanted in designs else []
    left_out = () if "reward" in wanted else placebo_conditions(designs)
    return [name for name in conditions(designs, pattern(wanted)) if name not in left_out]


def pattern(table: Table) -> Fields:
    """Design fields of a table; a list stands for any of its values."""
    return tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in table.items())


def ladder(designs: Mapping[str, Design], wanted: tuple[str, ...] | Table, field: str) -> list[str]:
    """Names of the conditions of a ladder in one world, by the field's value."""
    names = pick(designs, wanted) if isinstance(wanted, dict) else [n for n in wanted if n in designs]
    return sorted(names, key=lambda n: float(getattr(designs[n], field)))


def _check(spec: Own, designs: Mapping[str, Mapping[str, Design]], where: str) -> None:
    problems = Problems()
    for world in spec.worlds:
        if world not in designs:
            problems.lines.append(f"{where}.worlds: known are {', '.join(designs)}, got {world!r}")
    problems.settle()
    read = {w: d for w, d in designs.items() if not spec.worlds or w in spec.worlds}
    for name, wanted in spec.picks():
        problems.attempt(_check_pick, wanted, read, f"{where}.{name}")
    if isinstance(spec, BestAt | AddsLittle):
        problems.attempt(_check_ladder, spec, read, where)
    problems.settle()
    for of in read.values():
        names = [name for _, wanted in spec.picks() for name in pick(of, wanted)]
        if len(set(names)) < len(names):
            raise InputError(f"{where}.b: must be another condition than a, got {names[0]!r} twice")


def _check_pick(wanted: Pick, designs: Mapping[str, Mapping[str, Design]], where: str) -> None:
    if isinstance(wanted, dict):
        _check_pattern(wanted, where)
    known = list(dict.fromkeys(n for d in designs.values() for n in d))
    found = {world: pick(of, wanted) for world, of in designs.items()}
    if not any(found.values()):
        raise InputError(f"{where}: must be a condition ({', '.join(known)}), got {wanted!r}")
    for world, names in found.items():
        if len(names) > 1:
            raise InputError(f"{where}: must fit one condition, got {wanted!r}, {names} in '{world}'")


def _check_pattern(table: Table, where: str) -> None:
    unknown = [k for k in table if k not in Design.model_fields]
    if unknown or not table:
        lines = [f"{where}.{k}: is not a known key" for k in unknown]
        raise InputError("\n".join(lines or [f"{where}: needs at least one field, got none"]))


def _check_ladder(spec: BestAt | AddsLittle, designs: Mapping[str, Mapping[str, Design]], where: str) -> None:
    if isinstance(spec.conditions, dict):
        _check_pattern(spec.conditions, f"{where}.conditions")
    else:
        known = list(dict.fromkeys(n for d in designs.values() for n in d))
        unknown = [n for n in spec.conditions if n not in known]
        if unknown:
            raise InputError(
                f"{where}.conditions: known are {', '.join(known)}, got {', '.join(map(repr, unknown))}"
            )
    if not _numeric(spec.field):
        raise InputError(f"{where}.field: must be a design field with a number, got {spec.field!r}")
    longest = 0
    for world, of in designs.items():
        values = [float(getattr(of[n], spec.field)) for n in ladder(of, spec.conditions, spec.field)]
        longest = max(longest, len(values))
        if len(set(values)) < len(values) or min(values, default=1.0) <= 0:
            raise InputError(
                f"{where}.conditions: must differ in {spec.field}, all above 0, got {values} in '{world}'"
            )
        if isinstance(spec, BestAt) and values and spec.at not in values[1:-1]:
            raise InputError(f"{where}.at: must be one of {values[1:-1]}, not an end, got {spec.at:g}")
    if longest < 3:  # a line or a curve needs them
        raise InputError(f"{where}.conditions: need at least 3 that differ in {spec.field}, got {longest}")


def _numeric(field: str) -> bool:
    known = Design.model_fields.get(field)
    default = None if known is None else known.get_default(call_default_factory=True)
    required = known is not None and known.is_required()
    return required or (isinstance(default, int | float) and not isinstance(default, bool))
