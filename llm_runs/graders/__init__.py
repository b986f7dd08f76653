"""Graders by name: what counts as right. Not rewards, not tasks. A new grader is a file and a line here."""

from __future__ import annotations

from banditrft.errors import InputError
from llm_runs.graders.arithmetic import Arithmetic
from llm_runs.graders.base import Grade, Grader
from llm_runs.graders.gsm8k import Gsm8k
from llm_runs.graders.mathematics import Boxed, Mathematics
from llm_runs.graders.sorting import Sorting
from llm_runs.plugins import dotted, made

GRADERS: dict[str, type[Grader]] = {
    "arithmetic": Arithmetic,
    "boxed": Boxed,
    "gsm8k": Gsm8k,
    "math": Mathematics,
    "sorting": Sorting,
}


def load_grader(name: str, *, timeout_s: float | None = None) -> Grader:
    """The grader of that name.

    Args:
        name: A key of `GRADERS`, or `module:Class` for a grader of one's own.
        timeout_s: Seconds that one response may take, for graders whose time is not bounded by itself
            ("math") [default: the grader's own].

    Raises:
        InputError: No such grader, or it cannot be used here.
    """
    if ":" in name:
        custom: Grader = made("grader", name, dotted("grader", name), Grader)
        return custom
    if name not in GRADERS:
        there = ", ".join(sorted(GRADERS))
        raise InputError(f"grader: must be one of {there}, or module:Class, got {name!r}")
    if timeout_s is not None and not 0 < timeout_s < float("inf"):
        raise InputError(f"timeout_s: must be positive and finite, got {timeout_s}")
    return Mathematics(timeout_s) if name == "math" and timeout_s else GRADERS[name]()


__all__ = ["GRADERS", "Grade", "Grader", "Gsm8k", "Mathematics", "load_grader"]
