r"""One spelling for what can be written in several: Unicode as LaTeX, thousands, repeating decimals, bases.

Applied to answer and response alike, before they are compared in any way:

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
