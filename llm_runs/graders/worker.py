r"""The process that asks math-verify: `python -m llm_runs.graders.worker LIMIT_S`. Nothing else runs sympy.

One request a line on standard input, a JSON pair [answer, candidate] of LaTeX texts; one byte each on
standard output: `R` once it is ready, then `1` or `0` (are they equal?). Whoever started it kills it when it
takes too long; should that one be gone, its closed input ends it, or else its own alarm. Only math-verify's
LaTeX grammar is used: its other parser passes text to sympy's, which is built on `eval`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Any

MEMORY = 2 * 1024**3
"""Address space that a worker may use, bytes: `10^{10^{10}}` would take all there is."""

CLOSE = 2e-6
"""Numbers whose difference is a larger share of them are different: .333333 is 1/3, 2e-8 is not 3e-8."""

GRACE_S = 10.0
"""The worker's own alarm goes off so long after the limit."""


def _bound_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def equal(answer: str, candidate: str) -> bool:
    """Whether math-verify finds the candidate equal to the answer; whatever it stumbles over is unequal."""
    from math_verify import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        LatexExtractionConfig,
        parse,
        verify,
    )

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    try:
        gold, found = (
            parse(rf"\boxed{{{text}}}", config, parsing_timeout=None) for text in (answer, candidate)
        )
        if not verify(gold, found, timeout_seconds=None):
            return False
        return "%" in answer + candidate or not _far(gold[0], found[0])  # to math-verify 10% is .1 and 10
    except Exception:  # noqa: BLE001 - sympy raises anything
        return False


def _far(one: Any, other: Any) -> bool:
    """Whether numbers, or the numbers in two sets, tuples or intervals, differ by more than `CLOSE`."""
    ours, theirs = _numbers(one), _numbers(other)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return False
    return any(_apart(a, b) for a, b in zip(ours, theirs, strict=True))


def _numbers(expression: Any) -> list[Any] | None:
    """The finite numbers of an expression, in order of size; None where it holds a variable."""
    from sympy import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        Expr,
        default_sort_key,
    )

    if isinstance(expression, Expr):
        return ([expression] if expression.is_finite else []) if expression.is_number else None
    inner = [_numbers(part) for part in getattr(expression, "args", ())]
    if any(part is None for part in inner):
        return None
    return sorted((n for part in inner for n in part or ()), key=lambda n: (n.evalf(30), default_sort_key(n)))


def _apart(one: Any, other: Any) -> bool:
    if one == other:
        return False
    if one == 0 or other == 0:
        return bool((one or other).is_nonzero)
    a, b = one.evalf(30), other.evalf(30)
    return bool(abs(a - b) > CLOSE * max(abs(a), abs(b)))


@contextlib.contextmanager
def _mortal(limit_s: float) -> Iterator[None]:
    """End this process, by signals that nothing in C delays, when its input is closed or time is up."""
    flags = fcntl.fcntl(0, fcntl.F_GETFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC)  # SIGIO: between a request and its reply comes no other
    signal.setitimer(signal.ITIMER_REAL, limit_s + GRACE_S)
    if select.select([0], [], [], 0)[0]:  # closed before the signal was asked for
        os._exit(0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        fcntl.fcntl(0, fcntl.F_SETFL, flags)


def main(limit_s: float) -> None:
    """Answer requests until standard input ends."""
    replies = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints is no reply
    _bound_memory()
    logging.disable(logging.CRITICAL)
    equal("1", "1")  # imports and builds the grammar's tables
    os.write(replies, b"R")
    for line in sys.stdin.buffer:
        with _mortal(limit_s):
            decision = equal(*json.loads(line))
        os.write(replies, b"1" if decision else b"0")


if __name__ == "__main__":
    main(float(sys.argv[1]))
