"""Text that users give: names are short and visible, and what is printed cannot steer a terminal."""

import re
from typing import Annotated

from pydantic import AfterValidator

LONGEST = 200
"""Characters of a name: it becomes part of file names, tables and labels."""
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Control characters but tab and line feed, direction marks (Unicode bidi), and halves of surrogate pairs."""


def visible(text: str) -> str:
    """A text with escapes in place of control characters and direction marks."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def check_name(name: str) -> str:
    """The name, if it is one.

    Raises:
        ValueError: It is blank, has more than `LONGEST` characters, or characters that cannot be seen.
    """
    if not name.strip():
        raise ValueError(f"must not be empty, got {name!r}")
    if len(name) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters, got {len(name)}")
    if not name.isprintable():
        raise ValueError(f"must hold only characters that can be seen, got {name!r}")
    return name


Name = Annotated[str, AfterValidator(check_name)]
"""The type of a field that holds a name."""
