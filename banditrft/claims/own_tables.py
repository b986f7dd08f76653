"""The tables ``[[own_claims]]`` of a study, checked against its conditions, and the conditions named."""

from collections.abc import Mapping, Sequence
from typing import Any

from banditrft.claims.conditions import Fields, conditions, placebo_conditions
from banditrft.claims.own import AddsLittle, BestAt, Own, Pick, Table, own_claim, parse_own
from banditrft.claims.protocols import Claim
from banditrft.design import Design
from banditrft.errors import InputError, Problems


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
    names = [(wanted if isinstance(wanted, str) else repr(wanted)) for _, wanted in spec.picks()]
    if len(set(names)) < len(names):
        problems.lines.append(f"{where}.b: must be another condition than a, got {names[0]!r} twice")
    problems.settle()


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
