"""A study: conditions x seeds x worlds, read from a TOML file and resolved into designs.

Every value is looked up in layers, the later winning: ``[design]``, the world's table (``[[sim]]`` or
``[[llm]]``), the condition, the condition's table for that kind of world (``sim = {...}``), its table for
that one world by name (``contextual = {...}``). `banditrft.runs` turns a resolved study into runs with ids.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from banditrft.brief import Brief
from banditrft.claims import CLAIMS, Claim, OwnClaim, get_claims, own_claims
from banditrft.design import Count, Design, Evaluation, Frozen, explain, parse
from banditrft.errors import InputError, Problems
from banditrft.worlds import WorldSettings, check_supported, parse_world

Kind = Literal["sim", "llm"]
KINDS: tuple[Kind, ...] = ("sim", "llm")
Word = Literal["supported", "refuted", "undecided"]
TOGETHER = ("simulated", "language models", "all worlds")
"""What verdicts over several worlds are filed under."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Table = dict[str, Any]
FIELDS = {*Design.model_fields, *Evaluation.model_fields}


class _Outline(Frozen):
    """The file's own keys; the tables inside are resolved layer by layer."""

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    description: str = ""
    expected: dict[str, Word] = Field(default_factory=dict)
    seeds: Count
    root_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    claims: Annotated[tuple[str, ...], Field(strict=False)] = ()
    own_claims: Annotated[tuple[Table, ...], Field(strict=False)] = ()
    design: Table = Field(default_factory=dict)
    conditions: Annotated[tuple[Table, ...], Field(min_length=1, strict=False)]
    sim: Annotated[tuple[Table, ...], Field(strict=False)] = ()
    llm: Annotated[tuple[Table, ...], Field(strict=False)] = ()


@dataclass(frozen=True, repr=False)
class Cell(Brief):
    """One condition in one world, fully resolved."""

    world: WorldSettings
    condition: str
    design: Design
    evaluation: Evaluation


@dataclass(frozen=True, repr=False)
class Study(Brief):
    """A resolved study.

    Attributes:
        name: Names the folder of its records.
        root_seed: First part of the key of every random stream.
        claims: Ids of the claims it tests.
        cells: Conditions by world, in the order of the file.
        text: The file's text, kept for provenance.
        description: What the study is for.
        expected: Verdicts written down before the runs, by claim ("A1") or claim and world ("A1/lumped").
        own_claims: Claims that it states itself.
    """

    name: str
    root_seed: int
    claims: tuple[str, ...]
    cells: tuple[Cell, ...]
    text: str
    description: str = ""
    expected: Mapping[str, Word] = field(default_factory=dict)
    own_claims: tuple[OwnClaim, ...] = ()

    @property
    def in_force(self) -> tuple[str | Claim, ...]:
        """Everything it tests: ids of the ledger, then its own claims."""
        return (*self.claims, *self.own_claims)

    def expects(self, claim: str, world: str) -> Word | None:
        """The verdict expected of a claim in a world; the claim's own entry stands for worlds without one."""
        return self.expected.get(f"{claim}/{world}", self.expected.get(claim))

    def worlds(self, kind: Kind | None = None) -> list[WorldSettings]:
        """The study's worlds, in the order of the file, each once."""
        unique = {cell.world.name: cell.world for cell in self.cells}
        return [w for w in unique.values() if kind in (None, w.kind)]

    def designs(self, world: str) -> dict[str, Design]:
        """Condition name -> design in one world."""
        return {c.condition: c.design for c in self.cells if c.world.name == world}


def load_study(path: Path | str) -> Study:
    """Read a study file.

    Raises:
        InputError: The file cannot be read, is no TOML, or describes no runnable study; the message lists
            every field that is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a study file ({error})") from None
    return parse_study(text, str(path))


def parse_study(text: str, source: str = "study") -> Study:
    """Resolve a study from the text of its file; `source` names it in errors.

    Raises:
        InputError: Lists every field that is wrong.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source}: is not valid TOML ({error})") from None
    try:
        return _resolve(parse(_Outline, raw), text)
    except InputError as error:
        raise InputError("\n".join(f"{source}: {line}" for line in str(error).splitlines())) from None


def _resolve(outline: _Outline, text: str) -> Study:
    problems = Problems()
    problems.attempt(get_claims, outline.claims)
    if len(set(outline.claims)) < len(outline.claims):
        problems.lines.append(f"claims: each may stand there once, got {list(outline.claims)}")
    problems.attempt(_known_keys, outline.design, "design", FIELDS)
    worlds = _worlds(outline, problems)
    problems.attempt(_check_expected, outline, [world.name for _, _, world in worlds])
    names = [c.get("name") for c in outline.conditions]
    for i, condition in enumerate(outline.conditions):
        tables = {*KINDS, *(world.name for _, _, world in worlds)}
        problems.attempt(_check_condition, condition, f"conditions[{i}]", names, tables)
    problems.settle()
    cells: list[Cell | None] = []
    for where, table, world in worlds:
        for i, condition in enumerate(outline.conditions):
            layers = [
                ("design", outline.design),
                (where, _only_fields(table)),
                (f"conditions[{i}]", _only_fields(condition)),
                (f"conditions[{i}].{world.kind}", condition.get(world.kind, {})),
                (f"conditions[{i}].{world.name}", condition.get(world.name, {})),
            ]
            cells.append(problems.attempt(_cell, world, condition["name"], layers))
    problems.settle()
    whole = tuple(cell for cell in cells if cell)
    designs: dict[str, dict[str, Design]] = {}
    for cell in whole:
        designs.setdefault(cell.world.name, {})[cell.condition] = cell.design
    own = problems.attempt(own_claims, outline.own_claims, designs, tuple(CLAIMS)) or ()
    problems.settle()
    return Study(
        outline.name,
        outline.root_seed,
        outline.claims,
        whole,
        text,
        outline.description,
        outline.expected,
        own,
    )


def _worlds(outline: _Outline, problems: Problems) -> list[tuple[str, Table, WorldSettings]]:
    """Each world's place in the file, its table and its settings."""
    found: list[tuple[str, Table, WorldSettings]] = []
    for kind in KINDS:
        for w, table in enumerate(getattr(outline, kind)):
            where = f"{kind}[{w}]"
            world = problems.attempt(_world, kind, table, where, outline.seeds)
            if world is None:
                continue
            if not world.name.strip() or world.name in (*KINDS, "name", *FIELDS):
                problems.lines.append(f"{where}.name: must not be empty nor a known key, got {world.name!r}")
            elif world.name in (other.name for _, _, other in found):
                problems.lines.append(f"{where}.name: names of worlds must differ, got {world.name!r} twice")
            found.append((where, table, world))
    if not outline.sim and not outline.llm:
        problems.lines.append("sim, llm: a study needs at least one world, got none")
    return found


def _check_expected(outline: _Outline, worlds: list[str]) -> None:
    """Expected verdicts name a claim of the study, and a world or what one over several is filed under."""
    lines = []
    for key, word in outline.expected.items():
        claim, _, world = key.partition("/")
        if claim not in (*outline.claims, *(table.get("id") for table in outline.own_claims)):
            lines.append(f"expected.{key}: must name a claim of this study, got {word!r} for {claim!r}")
        elif "/" in key and world not in (*worlds, *TOGETHER):
            lines.append(f"expected.{key}: must name a world of this study, got {world!r}")
    if lines:
        raise InputError("\n".join(lines))


def _only_fields(table: Table) -> Table:
    return {k: v for k, v in table.items() if k in FIELDS}


def _known_keys(table: Mapping[str, Any], where: str, known: set[str]) -> None:
    unknown = [k for k in table if k not in known]
    if unknown:
        raise InputError("\n".join(f"{where}.{k}: is not a known key" for k in unknown))


def _check_condition(condition: Table, where: str, names: list[Any], tables: set[str]) -> None:
    name = condition.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}.name: a condition needs a name, got {name!r}")
    if names.count(name) > 1:
        raise InputError(f"{where}.name: names must differ, got {name!r} twice")
    _known_keys(condition, where, FIELDS | {"name", *tables})
    for key in tables & condition.keys():
        table = condition[key]
        if not isinstance(table, dict):
            raise InputError(f"{where}.{key}: must be a table of design fields, got {table!r}")
        _known_keys(table, f"{where}.{key}", FIELDS)


def _world(kind: Kind, table: Table, where: str, seeds: int) -> WorldSettings:
    return parse_world(
        {"kind": kind, "seeds": seeds} | {k: v for k, v in table.items() if k not in FIELDS}, where
    )


def _cell(world: WorldSettings, condition: str, layers: list[tuple[str, Table]]) -> Cell:
    merged: Table = {}
    origin: dict[str, str] = {}
    for where, table in layers:
        merged |= table
        origin |= dict.fromkeys(table, where)
    lines: list[str] = []
    parsed: list[Any] = []
    for model in (Design, Evaluation):
        try:
            parsed.append(model.model_validate({k: v for k, v in merged.items() if k in model.model_fields}))
        except ValidationError as error:
            lines += [_located(line, origin, layers[2][0], world) for line in explain(error).splitlines()]
    if not lines:
        try:
            check_supported(parsed[0], world)
        except InputError as error:
            lines = [_located(line, origin, layers[2][0], world) for line in str(error).splitlines()]
    if lines:
        raise InputError("\n".join(lines))
    return Cell(world, condition, parsed[0], parsed[1])


def _located(line: str, origin: Mapping[str, str], condition: str, world: WorldSettings) -> str:
    """Name the table that a wrong value came from; a missing value is the whole condition's matter."""
    field = re.split(r"[.\[:,]", line, maxsplit=1)[0]
    return f"{origin[field]}.{line}" if field in origin else f"{condition} (world '{world.name}'): {line}"


def iterate(study: Study, kind: Kind) -> Iterator[Cell]:
    """Cells of one kind of world."""
    return (c for c in study.cells if c.world.kind == kind)
