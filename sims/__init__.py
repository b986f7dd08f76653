"""sims: the simulated world. Exact where theory is exact, and fast enough for hundreds of seeds in seconds.

- `sims.lumped`: the exact softmax bandit over classes of up to 1e12 interchangeable arms (theory §1), by
  its fast path (`simulator`), and under any design, array by array (`general`);
- `sims.contextual`: the log-linear contextual world with a held-out test set (theory §6);
- `sims.exploration`: UCB, Thompson sampling and epsilon-greedy on the same arms, for comparison;
- `sims.diagrams`: phase diagrams, each a table, a figure and what they say;
- `sims.learner`: a design as the compiled kernels see it; `sims.compiled`: what these have in common.

`execute` turns one `banditrft.runs.Run` into records, `run` a whole study, which `check` may refuse. Names
load on first use: importing `sims` compiles nothing.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from sims.study import check, execute, run

_HOMES = {"check": "sims.study", "execute": "sims.study", "run": "sims.study"}
__all__ = ["check", "execute", "run"]
__getattr__, __dir__ = lazy(__name__, _HOMES)
