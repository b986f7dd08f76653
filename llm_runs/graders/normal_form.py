r"""When two answers in LaTeX are written alike: one sequence of tokens per way of writing.

The rules, in order (each serves the conventions of the MATH data set's answers):

0. Unicode is read as LaTeX, and a repeating decimal as its fraction (`llm_runs.graders.spelling`).
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
"""

from __future__ import annotations

import re

from llm_runs.graders.spelling import lists_numbers, spelled

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
    texts = spelled(expression), spelled(answer)
    found, wanted = map(_written, texts)
    if found == wanted:
        return bool(wanted)
    return _number(found, lists_numbers(texts[0])) == _number(wanted, lists_numbers(texts[1]))


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
