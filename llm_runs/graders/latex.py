r"""Answers in LaTeX: what a text says last, and when two answers are written alike. No TeX, no mathematics.

These are rules of writing. The grades that follow from them are `llm_runs.graders.mathematics`'.

What a text says last: its last box, or failing that its last expression. The scan for boxes keeps a stack of
open braces, so that deep or unbalanced braces cost no more than others; no pattern here can backtrack over
more than `LONGEST` characters.

When two answers are written alike (`normal_form`, `same`): one sequence of tokens per way of writing.

The rules, in order (each serves the conventions of the MATH data set's answers):

0. Unicode is read as LaTeX, and a repeating decimal as its fraction (`spelled`, below).
1. White space, spacing commands, `\left`, `\right`, `\displaystyle`, `$`, `\$`, `%` and `\%` are dropped,
   and so is a full stop at the end.
2. `\dfrac`, `\tfrac`, `\cfrac` are `\frac`; `\le`, `\ge`, `\ne` are `\leq`, `\geq`, `\neq`; `\mbox` and
   `\text..`, `\math..` fonts are `\text`.
3. A final `\text{...}` (perhaps with an exponent) that follows a quantity is a unit and dropped; another one
   counts by its content.
4. Braces around at most one token are dropped: `\frac{1}{2}` is `\frac12`, `x^{2}` is `x^2`. Degree signs
   (`^\circ`, `\degree`) are dropped.
5. A decimal fraction without a leading digit gets a zero: `.5` is `0.5`.
6. `letter = ...` with a single equals sign counts by its right-hand side.
7. A number with separated thousands loses the commas, unless a space follows one of them, as in a list:
   `32,349` is 32349, `32, 349` is not. A quotient of integers `a/b` is `\frac{a}{b}`, and 0.5 is
   `\frac{1}{2}`.

Two expressions are written alike, too, where they are before rule 7: `81,256` is the list `81, 256`.

They know nothing of mathematics: 2 and 4/2, or x+y and y+x, are written differently. Time is linear.

Against the rule of verl's reward (measured on all pairs of the 4,329 distinct answers of MATH): what that
finds alike is alike here, but for answers that it cuts at `\text{ and }` or `\text{ or }`; beyond it these
rules see through thousands separators, `\mbox` and unspaced units, `\text{B}`, `\sqrt 5` and `\frac{29}4`.

One spelling for what can be written in several (`spelled`): Unicode as LaTeX, thousands, repeating decimals,
bases. It is applied to answer and response alike, before they are compared in any way:

=============================  ==============================  ========================================
written                        read as                         why
=============================  ==============================  ========================================
`√5`, `√10`, `√(x+1)`, `∛2`    `\sqrt{5}`, ..., `\sqrt[3]{2}`  over one number, one letter or one group
`x²`, `x⁻¹`, `a₁₂`             `x^{2}`, `x^{-1}`, `a_{12}`     super- and subscripts
`−`, `–` (U+2212, U+2013)      `-`                             signs of typesetters
`90°`, `½`, `2π`, `x ≤ 2`      the LaTeX command               one symbol, one meaning
`€18`, `£18`, `¥18`            `\$18`                          units, dropped like `\$`
`1{,}234`, `1,\!234`           `1,234`                         a comma without the space of a list
`0.1\overline{6}`              `\frac{15}{90}`                 exactly: (16 - 1)/90
=============================  ==============================  ========================================
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


Tokens = list[str]

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\S", re.DOTALL)
_SPACES = frozenset({"\\ ", "\\\n", r"\!", r"\,", r"\;", r"\:", r"\quad", r"\qquad", "~"})
_DROPPED = _SPACES | {r"\left", r"\right", r"\displaystyle", r"\$", r"\%", "$", "%"}
_FONTS = frozenset(
    {r"\mbox"}
    | {rf"\text{f}" for f in ("normal", "rm", "bf", "it")}
    | {rf"\math{f}" for f in ("rm", "bf", "it")}
)
_SAME = {r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac"}
_SAME |= {r"\le": r"\leq", r"\ge": r"\geq", r"\ne": r"\neq"} | dict.fromkeys(_FONTS, r"\text")
_NO_QUANTITY = frozenset("=<>+-*/,;:([|^_{") | {r"\leq", r"\geq", r"\neq", r"\in", r"\{", r"\cup", r"\cap"}
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_QUOTIENT = re.compile(r"(-?)([0-9]+)/([0-9]+)")


def normal_form(expression: str) -> tuple[str, ...]:
    """The tokens of an expression after all rules; empty if nothing is left of it."""
    text = spelled(expression)
    return _number(_written(text), lists_numbers(text))


def same(expression: str, answer: str) -> bool:
    """Whether two expressions are written alike; an empty answer is never given."""
    found, wanted = _written(spelled(expression)), _written(spelled(answer))
    return bool(wanted) if found == wanted else normal_form(expression) == normal_form(answer)


def _written(text: str) -> Tokens:
    """The tokens of an expression before rule 7."""
    tokens = [_SAME.get(token, token) for token in _TOKEN.findall(text) if token not in _DROPPED]
    if tokens[-1:] == ["."]:
        tokens.pop()
    tokens = _plain_text(_without_unit(tokens))
    tokens = _without_degrees(_without_idle_braces(tokens))
    return _right_hand_side(_with_leading_zeros(tokens))


def _group_end(tokens: Tokens, start: int) -> int:
    """The index after the group (or single token) at `start`, or the end where it is not closed."""
    depth = 0
    for i in range(start, len(tokens)):
        depth += (tokens[i] == "{") - (tokens[i] == "}")
        if depth <= 0:
            return i + 1
    return len(tokens)


def _without_unit(tokens: Tokens) -> Tokens:
    if r"\text" not in tokens:
        return tokens
    start = len(tokens) - 1 - tokens[::-1].index(r"\text")
    if start == 0 or tokens[start - 1] in _NO_QUANTITY:
        return tokens
    end = _group_end(tokens, start + 1)
    if end < len(tokens) and tokens[end] == "^":
        end = _group_end(tokens, end + 1)
    return tokens[:start] if end == len(tokens) else tokens


def _plain_text(tokens: Tokens) -> Tokens:
    r"""The tokens without `\text` and the braces that belong to it."""
    kept: Tokens = []
    ours: list[bool] = []  # of every open brace: does it belong to \text?
    before = ""
    for token in tokens:
        if token == "{":
            ours.append(before == r"\text")
            drop = ours[-1]
        else:
            drop = token == r"\text" or (token == "}" and bool(ours) and ours.pop())
        if not drop:
            kept.append(token)
        before = token
    return kept


def _without_idle_braces(tokens: Tokens) -> Tokens:
    kept: Tokens = []
    openings: list[int] = []
    for token in tokens:
        if token == "{":
            openings.append(len(kept))
        elif token == "}" and openings:
            start = openings.pop()
            if len(kept) - start <= 2:
                del kept[start]
                continue
        kept.append(token)
    return kept


def _without_degrees(tokens: Tokens) -> Tokens:
    kept: Tokens = []
    for token in tokens:
        if token == r"\circ" and kept and kept[-1] == "^":
            kept.pop()
        elif token != r"\degree":
            kept.append(token)
    return kept


def _with_leading_zeros(tokens: Tokens) -> Tokens:
    kept: Tokens = []
    for i, token in enumerate(tokens):
        starts = token == "." and not (kept and kept[-1].isdigit())
        if starts and i + 1 < len(tokens) and tokens[i + 1].isdigit():
            kept.append("0")
        kept.append(token)
    return kept


def _right_hand_side(tokens: Tokens) -> Tokens:
    assigns = tokens.count("=") == 1 and len(tokens) > 2 and tokens[1] == "=" and tokens[0][-1].isalpha()
    return tokens[2:] if assigns else tokens


def _number(tokens: Tokens, listed: bool) -> tuple[str, ...]:
    """Rule 7; `listed` says that commas separate the members of a list."""
    text = "".join(tokens)
    if _THOUSANDS.fullmatch(text) and not listed:
        return tuple(text.replace(",", ""))
    if text == "0.5":
        text = "1/2"
    quotient = _QUOTIENT.fullmatch(text)
    if not quotient:
        return tuple(tokens)
    sign, above, below = quotient.groups()
    return (*sign, r"\frac", *_argument(above), *_argument(below))


def _argument(digits: str) -> Tokens:
    return [digits] if len(digits) == 1 else ["{", *digits, "}"]


_COMMANDS = {
    "°": r"^\circ", "π": r"\pi", "θ": r"\theta", "∞": r"\infty", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq",
    "×": r"\times", "·": r"\cdot", "⋅": r"\cdot", "÷": r"\div", "±": r"\pm", "∪": r"\cup", "∩": r"\cap",
    "∈": r"\in", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "€": r"\$", "£": r"\$", "¥": r"\$",
}  # fmt: skip
_PLAIN = {"\u2212": "-", "\u2013": "-", "\u00a0": " ", "\u202f": " "}
_RADICALS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
_TABLE = str.maketrans(_PLAIN | {symbol: f"{command} " for symbol, command in _COMMANDS.items()})
_RADICAL = re.compile(r"([√∛∜])\s*(?:([0-9.]+|[A-Za-zπ])|\(([^()]{1,200})\))?")
_SCRIPT = re.compile(f"([{''.join(_RAISED)}]+)|([{''.join(_LOWERED)}]+)")
_COMMA = re.compile(r"(?<=[0-9])(?:\{,\}|,\s*\\!)\s*(?=[0-9]{3}(?![0-9]))")
_REPEATING = re.compile(
    r"(?<![0-9.])([0-9]{0,30})\.([0-9]{0,30})\\overline\s*\{([0-9]{1,30})\}(?:\\dots|\\ldots)?"
)
_BASED = re.compile(
    r"\s*(?:\\text\s*\{)?\s*(-?[0-9A-Z.]+)\s*\}?\s*_\s*(?:\{\s*(?:\\text\s*\{)?([0-9]+)\}?\s*\}|([0-9]))[\s.]*"
)
_LIST = re.compile(r",\s*(?:\s|\\[ ,;:]|\\q?quad\b|~)\s*[0-9]")


def spelled(expression: str) -> str:
    """An expression in the one spelling of the table above; linear in its length."""
    text = expression
    if not text.isascii():
        text = _SCRIPT.sub(_script, _RADICAL.sub(_radical, text)).translate(_TABLE)
    return _REPEATING.sub(_fraction, _COMMA.sub(",", text))


def numeral(expression: str) -> tuple[str, int] | None:
    """Digits and base of a numeral with a base subscript, such as `204_5`; None for anything else."""
    match = _BASED.fullmatch(expression)
    return (match[1], int(match[2] or match[3])) if match else None


def lists_numbers(expression: str) -> bool:
    """Whether a comma and a space stand before a number, as between the members of a list."""
    return _LIST.search(expression) is not None


def _radical(match: re.Match[str]) -> str:
    sign, one, group = match.groups()
    under = one or group
    return f"{_RADICALS[sign]}{{{under}}}" if under else _RADICALS[sign]


def _script(match: re.Match[str]) -> str:
    up, down = match.groups()
    mark, table, written = ("^", _RAISED, up) if up else ("_", _LOWERED, down)
    return f"{mark}{{{''.join(table[letter] for letter in written)}}}"


def _fraction(match: re.Match[str]) -> str:
    whole, part, again = match.groups()
    below = (10 ** len(again) - 1) * 10 ** len(part)
    above = int(whole + part + again) - int(whole + part or "0")
    return rf"\frac{{{above}}}{{{below}}}"
