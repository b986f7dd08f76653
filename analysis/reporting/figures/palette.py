"""Colours of page and figures, light and dark: told apart by people who confuse red and green, and in grey.

Hues follow Okabe and Ito (2008), darkened until text in them reaches a contrast of 4.5 on its ground. No
figure says anything by colour alone: markers have shapes, lines have dashes, words have signs.
"""

import re

PALETTE: dict[str, tuple[str, str]] = {
    "ink": ("#1c2126", "#e6e8ea"),
    "muted": ("#565f69", "#a9b3bc"),
    "line": ("#d9dee3", "#363d44"),
    "paper": ("#fdfdfb", "#14181b"),
    "panel": ("#ffffff", "#1b2024"),
    "accent": ("#0b6e63", "#59c9b9"),
    "yes": ("#0b6e63", "#59c9b9"),
    "no": ("#a8281c", "#ff8f80"),
    "open": ("#6b5a12", "#e0c45c"),
    "few": ("#0067a5", "#5db4ee"),
    "many": ("#b54708", "#ff9d4d"),
    "placebo": ("#626b74", "#9aa3ab"),
    "theory": ("#1c2126", "#f2f4f5"),
    "sim": ("#0067a5", "#5db4ee"),
    "llm": ("#8a2a7c", "#e39ad6"),
    "third": ("#0b6e63", "#59c9b9"),
    "fourth": ("#7a6200", "#e0c45c"),
    "shade": ("#dfebe8", "#24403d"),
}
"""Name -> (on light, on dark)."""
_VARIABLE = re.compile(r"var\(--([a-z]+)\)")


def variables(*, dark: bool) -> str:
    """The palette as CSS custom properties."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in PALETTE.items())


def resolved(css: str, *, dark: bool) -> str:
    """A style with the colours themselves, for programs that know no custom properties."""
    return _VARIABLE.sub(lambda found: PALETTE[found.group(1)][dark], css)
