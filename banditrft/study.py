"""A study: conditions x seeds x worlds, read from a TOML file and resolved into designs.

Every value is looked up in layers, the later winning: ``[design]``, the world's table (``[[sim]]`` or
``[[llm]]``), the condition, the condition's table for that kind of world (``sim = {...}``), its table for
that one world by name (``contextual = {...}``). `banditrft.runs` turns a resolved study into runs with ids.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from banditrft.brief import Brief, shown
from banditrft.claims import CLAIMS, Claim, get_claims, own_claims
from banditrft.design import CURVE_FIELDS, Count, Design, Evaluation, Frozen, explain
from banditrft.errors import InputError, Problems
from banditrft.names import LONGEST, check_name
from banditrft.worlds import LLMWorld, WorldSettings, check_supported, parse_world

Kind = Literal["sim", "llm"]
KINDS: tuple[Kind, ...] = ("sim", "llm")
Word = Literal["supported", "refuted", "undecided"]
TOGETHER = ("simulated", "language models", "all worlds")
"""What verdicts over several worlds are filed under."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Table = dict[str, Any]
CHUNK = 256
"""Simulated seeds lie on a fixed grid of chunks of this size, each a run of its own."""
MOST_RUNS = 1_000_000
"""Runs of a study, each a folder of records."""
DEEPEST = 32
"""Tables and lists inside one another in a study file."""
_DOTTED = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*"|'[^'\n]*')[ \t]*+\.[ \t]*+){32}""")
"""A key of more dotted parts than that; tomllib takes time that grows with their square."""
FIELDS = {*Design.model_fields, *Evaluation.model_fields}


class _Outline(Frozen):
    """The file's own keys; the tables inside are resolved layer by layer."""

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$", max_length=LONGEST)]
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
        source: File name, "preset NAME" or "import of TOOL"; empty where it came from neither.
    """

    name: str
    root_seed: int
    claims: tuple[str, ...]
    cells: tuple[Cell, ...]
    text: str
    description: str = ""
    expected: Mapping[str, Word] = field(default_factory=dict)
    own_claims: tuple[Claim, ...] = ()
    source: str = ""

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
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a study file ({error})") from None
    return replace(parse_study(text, str(path)), source=Path(path).name)


def parse_study(text: str, source: str = "study") -> Study:
    """Resolve a study from the text of its file; `source` names it in errors.

    Raises:
        InputError: Lists every field that is wrong.
    """
    try:
        return _resolve(read_tables(text), text)
    except InputError as error:
        raise InputError("\n".join(f"{source}: {line}" for line in str(error).splitlines())) from None


def read_tables(text: str) -> Table:
    """The tables of a TOML text, which may be neither deep nor of endless keys.

    Raises:
        InputError: It is no TOML, or goes beyond these limits.
    """
    if endless := _DOTTED.search(text):
        line = text.count("\n", 0, endless.start()) + 1
        raise InputError(f"line {line}: a key must have at most {DEEPEST} dotted parts")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML ({error})") from None
    except RecursionError:
        raise InputError(f"is not valid TOML (it nests more than {DEEPEST} levels deep)") from None
    except ValueError as error:  # an integer of thousands of digits
        raise InputError(f"is not valid TOML ({str(error).partition(':')[0]})") from None
    for key, value in raw.items():
        if _deeper(value, DEEPEST):
            raise InputError(f"{key}: must nest at most {DEEPEST} levels deep")
    return raw


def _deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(part, levels - 1) for part in inside)


def _resolve(raw: Table, text: str) -> Study:
    """Resolve the tables of a file; what is wrong in one place does not hide what is wrong in another."""
    problems = Problems()
    outline = _outline(raw, problems)
    sound = not problems.lines
    problems.attempt(get_claims, outline.claims)
    if len(set(outline.claims)) < len(outline.claims):
        problems.lines.append(f"claims: each may stand there once, got {list(outline.claims)}")
    problems.attempt(_known_keys, outline.design, "design", FIELDS)
    worlds = _worlds(outline, problems)
    if not raw.get("sim") and not raw.get("llm"):
        problems.lines.append("sim, llm: a study needs at least one world, got none")
    if sound:
        problems.attempt(_check_expected, outline, [world.name for _, _, world in worlds])
    counts = Counter(str(c.get("name")) for c in outline.conditions)
    named = (t.get("name") or t.get("world") or t.get("model") for t in (*outline.sim, *outline.llm))
    tables = {*KINDS, *map(str, named)}
    usable = [
        _check_condition(condition, f"conditions[{i}]", counts, tables, problems)
        for i, condition in enumerate(outline.conditions)
    ]
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
            if usable[i]:
                cells.append(problems.attempt(_cell, world, str(condition.get("name")), layers))
    problems.settle()
    whole = tuple(cell for cell in cells if cell)
    _check_number(whole)
    for cell in whole:
        problems.attempt(_check_paired, cell, whole)
    problems.settle()
    designs: dict[str, dict[str, Design]] = {}
    for cell in whole:
        designs.setdefault(cell.world.name, {})[cell.condition] = cell.design
    own = own_claims(outline.own_claims, designs, tuple(CLAIMS))
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


def _outline(raw: Table, problems: Problems) -> _Outline:
    """The file's own keys; those that are wrong are left out, and said."""
    try:
        return _Outline.model_validate(raw)
    except ValidationError as error:
        problems.lines += explain(error).splitlines()
        wrong = {item["loc"][0] for item in error.errors()}
    kept = {k: v for k, v in raw.items() if k in _Outline.model_fields and k not in wrong}
    return _Outline.model_construct(**{"name": "", "seeds": 1, "conditions": (), **kept})


def _check_number(cells: Sequence[Cell]) -> None:
    """Refuse a study of more runs than a folder can hold.

    Raises:
        InputError: Names the number of seeds.
    """
    runs: Counter[str] = Counter()
    for cell in cells:
        world, seeds = cell.world, cell.world.seeds
        queries = len(world.queries.items) or world.queries.count if isinstance(world, LLMWorld) else 1
        runs[world.name] += seeds * queries if world.kind == "llm" else -(-seeds // CHUNK)
    lines = [
        f"seeds: world '{name}' would have {count:,} runs, a study at most {MOST_RUNS:,}"
        for name, count in runs.items()
        if count > MOST_RUNS
    ]
    if lines:
        raise InputError("\n".join(lines))


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


def _check_condition(
    condition: Table, where: str, counts: Mapping[str, int], tables: set[str], problems: Problems
) -> bool:
    """Check the keys of a condition's table; False where its values cannot be looked at."""
    name = condition.get("name")
    if not isinstance(name, str):
        problems.lines.append(f"{where}.name: a condition needs a name, got {name!r}")
    else:
        problems.attempt(_condition_name, name, where)
        if counts[name] > 1:
            problems.lines.append(f"{where}.name: names must differ, got {name!r} twice")
    problems.attempt(_known_keys, condition, where, FIELDS | {"name", *tables})
    sound = True
    for key in tables & condition.keys():
        table = condition[key]
        if isinstance(table, dict):
            problems.attempt(_known_keys, table, f"{where}.{key}", FIELDS)
        else:
            problems.lines.append(f"{where}.{key}: must be a table of design fields, got {shown(table)}")
            sound = False
    return sound


def _condition_name(name: str, where: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise InputError(f"{where}.name: {error}") from None


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


def _check_paired(cell: Cell, cells: Sequence[Cell]) -> None:
    """A yoked placebo stands beside the condition whose rewards it is given."""
    if cell.design.reward != "yoked":
        return
    wanted = (cell.world.name, cell.design.treatment, cell.evaluation.model_dump(include=set(CURVE_FIELDS)))
    found = [(c.world.name, c.design, c.evaluation.model_dump(include=set(CURVE_FIELDS))) for c in cells]
    if wanted not in found:
        raise InputError(
            f"conditions: '{cell.condition}', yoked in world '{cell.world.name}', needs another one that "
            f"differs from it in reward = '{cell.design.yoked_to}' alone, got none"
        )


def _located(line: str, origin: Mapping[str, str], condition: str, world: WorldSettings) -> str:
    """Name the table that a wrong value came from; a missing value is the whole condition's matter."""
    field = re.split(r"[.\[:,]", line, maxsplit=1)[0]
    return f"{origin[field]}.{line}" if field in origin else f"{condition} (world '{world.name}'): {line}"


def iterate(study: Study, kind: Kind) -> Iterator[Cell]:
    """Cells of one kind of world."""
    return (c for c in study.cells if c.world.kind == kind)
