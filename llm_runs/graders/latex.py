r"""What a text in LaTeX says last: its last box, or failing that its last expression. One pass each, no TeX.

The scan for boxes keeps a stack of open braces, so that deep or unbalanced braces cost no more than others;
no pattern here can backtrack over more than `LONGEST` characters.
"""

from __future__ import annotations

import re

from llm_runs.graders.base import last_match

LONGEST = 1_000
"""An expression of more characters is none: the longest answer of the MATH data set has 159."""

_BRACES = re.compile(r"(?P<box>\\boxed\s*\{)|\\\\(?!boxed)|\\[{}]|(?P<open>\{)|(?P<close>\})")
_WITHIN = rf"(?:(?!\\[\[\]()]).){{1,{LONGEST}}}"
_DOLLARS = rf"(?:\\.|[^$\\]){{1,{LONGEST}}}"
_EXPRESSION = re.compile(
    rf"\$\$(?P<display>{_DOLLARS})\$\$|\$(?P<inline>{_DOLLARS})\$"
    rf"|\\\[(?P<bracket>{_WITHIN})\\\]|\\\((?P<round>{_WITHIN})\\\)"
    r"|(?P<number>(?:(?<![0-9])-)?(?:[0-9]+(?:(?:,|\{,\}|,\\!)[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?)",
    re.DOTALL,
)


def last_box(text: str) -> tuple[str | None, bool]:
    r"""The content of the last `\boxed{...}` that is closed, and whether it is the last one at all.

    Boxes are ordered by where they open. Braces balance as in TeX: `\{` and `\}` are characters, not braces;
    one that is left open outside a box does not matter.

    Returns:
        Content (None without a closed box), and False if another box is opened behind it and never closed.
    """
    opened: list[re.Match[str]] = []
    closed: re.Match[str] | None = None
    content, last = None, -1
    for match in _BRACES.finditer(text):
        if match["close"] is None:
            if match["box"] or match["open"]:
                opened.append(match)
            if match["box"]:
                last = match.start()
        elif opened:
            opening = opened.pop()
            if opening["box"] and (closed is None or opening.start() > closed.start()):
                closed, content = opening, text[opening.end() : match.start()]
    return content, closed is not None and closed.start() == last


def last_expression(text: str) -> str | None:
    r"""The last of: mathematics between `$`, `$$`, `\(...\)` or `\[...\]`; a number or a fraction `a/b`."""
    last = last_match(_EXPRESSION, text)
    return last[last.lastgroup].strip() if last and last.lastgroup else None
