"""`banditrft fields`: every field of a study file, as docs/study-files.md lists them."""

from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from banditrft.cli.common import echo, print_json
from banditrft.design import Design, Evaluation
from banditrft.worlds import (
    ArmClass,
    ArmLaw,
    ContextualWorld,
    LLMWorld,
    LumpedWorld,
    QuerySelection,
    SequenceWorld,
)
from banditrft.worlds.llm import Lora

TABLES: dict[str, type[BaseModel]] = {
    "What the learner does: `[design]`, a world or a condition": Design,
    "What is measured, in the same places": Evaluation,
    'The lumped bandit: `[[sim]]`, `world = "lumped"`': LumpedWorld,
    "A class of its arms: `[[sim.classes]]`": ArmClass,
    "Arms by rank instead: `[sim.law]`": ArmLaw,
    'The contextual bandit: `[[sim]]`, `world = "contextual"`': ContextualWorld,
    'The sequence bandit: `[[sim]]`, `world = "sequence"`': SequenceWorld,
    "A language model: `[[llm]]`": LLMWorld,
    "Its training queries: `[llm.queries]`": QuerySelection,
    "Its adapters: `[llm.lora]`": Lora,
}
"""Sections of the reference, by title."""
Row = dict[str, str]


def rows(model: type[BaseModel]) -> list[Row]:
    """Name, kind, default and meaning of every field that a study file may set."""
    return [
        {
            "field": name,
            "kind": _kind(field.annotation),
            "default": _default(field),
            "meaning": field.description or "",
        }
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) is not Literal or len(get_args(field.annotation)) > 1
    ]


def _kind(annotation: Any) -> str:
    """A type as a writer of TOML would call it."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inside[0])
    if origin is Literal:
        return " | ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in inside)
    if origin is tuple:
        return f"list of {_kind(inside[0])}"
    if inside and (origin is Union or type(None) in inside or origin.__name__ == "UnionType"):
        return " | ".join(dict.fromkeys(_kind(part) for part in inside if part is not type(None)))
    names = {int: "integer", float: "number", str: "text", bool: "true | false"}
    return names.get(annotation, "table")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "its own defaults"
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{list(value) if isinstance(value, tuple) else value}"


def markdown() -> str:
    """The reference as Markdown sections."""
    blocks = []
    for title, model in TABLES.items():
        lines = [f"## {title}", "", "| field | kind | default | meaning |", "| --- | --- | --- | --- |"]
        for row in rows(model):
            kind, default, meaning = (row[key].replace("|", "\\|") for key in ("kind", "default", "meaning"))
            lines.append(f"| `{row['field']}` | {kind} | {default} | {meaning} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


@click.command(name="fields")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(as_json: bool) -> int:
    """List every field of a study file: kind, default, meaning."""
    if as_json:
        print_json({title: rows(model) for title, model in TABLES.items()})
    else:
        echo(markdown(), nl=False)
    return 0
