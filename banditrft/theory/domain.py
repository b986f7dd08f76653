"""Domains of the closed forms' arguments. Each check names the argument, the constraint and the value."""

import math

from banditrft.errors import InputError

MAX_ARMS = 10**300
"""Most arms that a double can count."""


def open_unit(name: str, value: float) -> float:
    """A probability strictly between 0 and 1.

    Raises:
        InputError: It is not.
    """
    if not 0.0 < value < 1.0:
        raise InputError(f"{name}: must lie strictly between 0 and 1, got {value!r}")
    return float(value)


def positive(name: str, value: float) -> float:
    """A finite number above 0.

    Raises:
        InputError: It is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name}: must be finite and above 0, got {value!r}")
    return float(value)


def non_negative(name: str, value: float) -> float:
    """A finite number, 0 or more.

    Raises:
        InputError: It is not.
    """
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name}: must be finite and 0 or more, got {value!r}")
    return float(value)


def arms(num_arms: int, num_correct: int) -> tuple[int, int]:
    """Numbers of correct and of wrong arms, at least one of each.

    Raises:
        InputError: There is no correct or no wrong arm, or there are more than a double counts.
    """
    if num_correct < 1:
        raise InputError(f"num_correct: must be at least 1, got {num_correct!r}")
    if num_arms <= num_correct:
        raise InputError(f"num_arms: must exceed num_correct = {num_correct}, got {num_arms!r}")
    if num_arms > MAX_ARMS:
        raise InputError(f"num_arms: must be at most {MAX_ARMS:g}, got {num_arms!r}")
    return int(num_correct), int(num_arms) - int(num_correct)


def rounds(name: str, value: int) -> int:
    """A number of rounds, 0 or more.

    Raises:
        InputError: It is negative.
    """
    if value < 0:
        raise InputError(f"{name}: must be 0 or more, got {value!r}")
    return int(value)


def log_odds(p: float) -> float:
    """log(p / (1 - p)) of a probability inside (0, 1)."""
    return math.log(p) - math.log1p(-p)
