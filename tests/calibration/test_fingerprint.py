"""The fingerprint of code: it changes with what a function reaches, not with where that stands or what it is called."""

import pytest
from calibration.fingerprint import Sources

TESTS = '''
"""Tests."""
import numpy as np
from package import spread
from package.levels import Level as Bound, raised
from outside import error

ALPHA = 0.05
UNUSED = 1

def decide(x: float, level: Bound) -> bool:
    """Whether x is small."""
    def inner(y):
        return np.exp(y) + raised(y)
    if x < 0:
        raise error.InputError(f"x: must be positive, got {x}")
    return inner(x) <= ALPHA * spread.WIDEST or Bound(x).high > 1
'''
SPREAD = "WIDEST = 100.0\n"
LEVELS = '''
from dataclasses import dataclass

@dataclass
class Level:
    """A level."""
    low: float

    @property
    def high(self) -> float:
        return 1 - self.low

def raised(p):
    return min(1, p * FACTOR) if p else raised(1)

FACTOR: float = 1.5

def other():
    return 3
'''
FILES = {"tests.py": TESTS, "spread.py": SPREAD, "levels.py": LEVELS}


def fingerprint(folder, files, entry="package.tests.decide"):
    room = folder / f"{len(list(folder.iterdir()))}"
    for name, text in {"__init__.py": "", **files}.items():
        path = room / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Sources(room, "package").fingerprint([entry])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tests.py", "<= ALPHA", "< ALPHA"),
        ("tests.py", "ALPHA = 0.05", "ALPHA = 0.06"),
        ("tests.py", "np.exp(y)", "np.log(y)"),
        ("spread.py", "100.0", "10.0"),
        ("levels.py", "1 - self.low", "2 - self.low"),
        ("levels.py", "1.5", "1.6"),
        ("levels.py", "raised(1)", "raised(2)"),
        ("levels.py", "@dataclass", "@dataclass(order=True)"),
    ],
)
def test_a_change_in_what_is_reached_shows(file, old, new, tmp_path):
    assert old in FILES[file]
    changed = FILES | {file: FILES[file].replace(old, new)}
    assert fingerprint(tmp_path, changed) != fingerprint(tmp_path, FILES)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tests.py", "Whether x is small.", "True for a small x."),
        ("tests.py", "def inner(y):", 'def inner(y):\n        """Inner."""'),
        ("tests.py", "x: float", "x: int"),
        ("tests.py", "must be positive", "needs more than 0"),
        ("tests.py", "    def inner", "    # a comment\n    def inner"),
        ("tests.py", "UNUSED = 1", "UNUSED = 2"),
        ("tests.py", "ALPHA", "RATE"),
        ("levels.py", "FACTOR: float", "FACTOR"),
        ("levels.py", "FACTOR", "SLACK"),
        ("levels.py", "return 3", "return 4"),
    ],
)
def test_what_decides_no_figure_does_not_show(file, old, new, tmp_path):
    assert old in FILES[file]
    changed = FILES | {file: FILES[file].replace(old, new)}
    assert fingerprint(tmp_path, changed) == fingerprint(tmp_path, FILES)


def test_moving_and_renaming_do_not_show(tmp_path):
    """Both helpers join the tests under new names, the entry moves into a folder with a door."""
    text = (LEVELS + SPREAD + TESTS).replace("from package import spread\n", "")
    text = text.replace("from package.levels import Level as Bound, raised\n", "")
    for old, new in {"Bound": "Level", "raised": "lifted", "spread.WIDEST": "WIDEST"}.items():
        text = text.replace(old, new)
    moved = {"room/__init__.py": "from package.room.all import decide", "room/all.py": text}
    assert fingerprint(tmp_path, moved) == fingerprint(tmp_path, FILES)
    assert fingerprint(tmp_path, moved, "package.room.decide") == fingerprint(tmp_path, FILES)


def test_an_import_inside_a_function_is_followed(tmp_path):
    late = TESTS.replace("from package import spread\n", "").replace(
        "    def inner", "    from package import spread\n    def inner"
    )
    assert fingerprint(tmp_path, FILES | {"tests.py": late}) == fingerprint(tmp_path, FILES)
    wide = {"tests.py": late, "spread.py": "WIDEST = 1.0\n"}
    assert fingerprint(tmp_path, FILES | wide) != fingerprint(tmp_path, FILES)


def test_an_entry_must_be_found_once(tmp_path):
    with pytest.raises(LookupError, match=r"package\.tests\.lost.*\[\]"):
        fingerprint(tmp_path, FILES, "package.tests.lost")
    with pytest.raises(LookupError, match="WIDEST"):
        fingerprint(tmp_path, FILES | {"more.py": SPREAD}, "package.gone.WIDEST")
