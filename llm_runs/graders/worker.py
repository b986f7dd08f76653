r"""The process that asks math-verify: `python -m llm_runs.graders.worker LIMIT_S`. Nothing else runs sympy.

One request a line on standard input, a JSON pair [answer, candidate] of LaTeX texts; one byte each on
standard output: `R` once it is ready, then `1` or `0` (are they equal?). Whoever started it kills it when it
takes too long; should that one be gone, its own alarm ends it. Only math-verify's LaTeX grammar is used: its
other parser passes text to sympy's, which is built on `eval`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys

MEMORY = 2 * 1024**3
"""Address space that a worker may use, bytes: `10^{10^{10}}` would take all there is."""

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
        return bool(verify(gold, found, timeout_seconds=None))
    except Exception:  # noqa: BLE001 - sympy raises anything
        return False


def main(limit_s: float) -> None:
    """Answer requests until standard input ends."""
    replies = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints is no reply
    _bound_memory()
    logging.disable(logging.CRITICAL)
    equal("1", "1")  # imports and builds the grammar's tables
    os.write(replies, b"R")
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, limit_s + GRACE_S)  # default action: the process ends
        verdict = equal(*json.loads(line))
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.write(replies, b"1" if verdict else b"0")


if __name__ == "__main__":
    main(float(sys.argv[1]))
