"""Values that print briefly: a session shows what a study or a table of records is, not all that it holds."""

import reprlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

LONGEST = 400
"""Characters of a repr, of any value."""
QUOTED = 200
"""Characters of a value that an error quotes."""
_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 3, 60, 120
_short.maxtuple = _short.maxlist = _short.maxdict = _short.maxset = 3


class Brief:
    """A dataclass (of ``repr=False``) whose repr has at most `LONGEST` characters."""

    def __repr__(self) -> str:
        own: Any = self
        return brief(type(self).__name__, {f.name: getattr(self, f.name) for f in fields(own) if f.repr})


def brief(name: str, values: Mapping[str, Any]) -> str:
    """``Name(field=value, ...)`` with long values cut, and the fields that do not fit left out."""
    parts: list[str] = []
    for field, value in values.items():
        parts.append(f"{field}={_value(value)}")
        if len(f"{name}({', '.join(parts)}, ...)") > LONGEST:
            return f"{name}({', '.join([*parts[:-1], '...'])})"
    return f"{name}({', '.join(parts)})"


def shown(value: Any) -> str:
    """A value as an error quotes it: its repr, cut in the middle where it is long."""
    if isinstance(value, int) and value.bit_length() > QUOTED:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return f"a {type(value).__name__} of integers too long to be written out"
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 20]}...{text[-10:]}"


def _value(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return _short.repr(value) if not shape else f"<{type(value).__name__} {shape}>"
