"""Graders by name: what counts as right. Not rewards, not tasks. A new grader is a file and a line here."""

from __future__ import annotations

from banditrft.errors import InputError
from llm_runs.graders.arithmetic import Arithmetic
from llm_runs.graders.base import Grade, Grader
from llm_runs.graders.gsm8k import Gsm8k
from llm_runs.graders.mathematics import Mathematics

GRADERS: dict[str, type[Grader]] = {"arithmetic": Arithmetic, "gsm8k": Gsm8k, "math": Mathematics}


def load_grader(name: str, *, timeout_s: float | None = None) -> Grader:
    """The grader of that name.

    Args:
        name: A key of `GRADERS`.
        timeout_s: Seconds that one response may take, for graders whose time is not bounded by itself
            ("math") [default: the grader's own].

    Raises:
        InputError: No such grader, or it cannot be used here.
    """
    if name not in GRADERS:
        raise InputError(f"grader: must be one of {', '.join(sorted(GRADERS))}, got {name!r}")
    if timeout_s is not None and not 0 < timeout_s < float("inf"):
        raise InputError(f"timeout_s: must be positive and finite, got {timeout_s}")
    return Mathematics(timeout_s) if name == "math" and timeout_s else GRADERS[name]()


__all__ = ["GRADERS", "Grade", "Grader", "Gsm8k", "Mathematics", "load_grader"]
