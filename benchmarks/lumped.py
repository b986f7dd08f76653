"""Pulls per second of the exact lumped bandit beside dense competitors: one run prints one table.

Two regimes, raw {0,1} rewards, one rollout, SGD, T = 400 rounds, on one core:

- half: every arm pays with probability .5, learning rate .5;
- rft: 10% of 10,000 arms are correct, base Pass@1 .1, learning rate 2.

The lumped bandit runs R = 1000 replicates. The dense competitors (`dense.py`, `dense_jax.py`) keep a weight
per arm. Where the full number of replicates would take minutes they run fewer replicates or rounds, as the
table says; a rate counts the pulls they did make, in the rft regime of early rounds, which are the cheap
ones. Beside each of our lines stands its share of the floor, the rate of the random numbers alone (one Philox
block a pull), and its ratio to the best competitor of its regime and K. Beyond the largest K a competitor
can hold, the ratio is to its rate at that K.

Each line is the best of several runs in a process pinned to one core, in CPU seconds; memory is the growth
of its peak. The last line times two processes at once against one, in wall-clock seconds.

    python benchmarks/lumped.py                       # installs JAX into a virtual environment of its own
    python benchmarks/lumped.py --jax-python PATH     # or uses one that has it
    python benchmarks/lumped.py --without-jax [--json] [--repeats 5]
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dense import DENSE, Job, rewards

from sims.compiled.philox import fill_pulls
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

ROUNDS, REPLICATES, ROOT_SEED, SAMPLE = 400, 1000, 7, 1
RAW = np.array([[0.0, 0.0], [0.0, 1.0]])
RATE = {"half": 0.5, "rft": 2.0}
OURS = [("half", 1e2), ("half", 1e4), ("half", 1e6), ("half", 1e12), ("rft", 1e4)]
SIZES = {
    ("half", 1e2): {"NumPy": (1000, 100), "torch": (1000, 100), "Numba": (1000, 400), "JAX": (1000, 100)},
    ("half", 1e4): {"NumPy": (100, 20), "torch": (100, 20), "Numba": (20, 400), "JAX": (20, 100)},
    ("half", 1e6): {"NumPy": (10, 4), "torch": (10, 4), "Numba": (1, 40), "JAX": (1, 20)},
    ("rft", 1e4): {"NumPy": (100, 20), "torch": (100, 20), "Numba": (20, 400), "JAX": (20, 100)},
}
"""Replicates and rounds of the dense competitors."""
JAX = "jax==0.10.2"


@dataclass(frozen=True)
class Measured:
    """Best CPU seconds, pulls made in them, and growth of the process's peak memory in MiB."""

    seconds: float
    pulls: int
    mib: float | None = None

    @property
    def rate(self) -> float:
        """Pulls per second."""
        return self.pulls / self.seconds


def floor() -> Job:
    """The random numbers alone."""
    out = np.empty((ROUNDS, 4))

    def job() -> int:
        for seed in range(REPLICATES):
            fill_pulls(out, ROUNDS, ROOT_SEED, seed, 0, SAMPLE, 1, 1)
        return REPLICATES * ROUNDS

    return job


def lumped(regime: str, K: float, replicates: int = REPLICATES) -> Job:
    """The package's simulator."""
    bandit = Bandit.of([K], [1.0], [0.5])
    if regime == "rft":
        bandit = Bandit.of([0.1 * K, 0.9 * K], [0.1, 0.9], [1, 0])
    learner = TableLearner(RAW, RATE[regime])

    def job(seeds: int = replicates) -> int:
        simulate(
            bandit, learner, root_seed=ROOT_SEED, seeds=range(seeds), rounds=ROUNDS, eval_rounds=[0, ROUNDS]
        )
        return seeds * ROUNDS

    job(1)  # compiles
    return job


def dense(name: str, regime: str, K: float) -> Job:
    """A dense competitor."""
    correct = int(0.1 * K) if regime == "rft" else None
    return DENSE[name](rewards(int(K), correct), RATE[regime], *SIZES[regime, K][name])


def measure(kind: str, arguments: tuple, repeats: int) -> Measured:
    """The best of several runs of one line, in this process, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    job = {"floor": floor, "lumped": lumped, "dense": dense}[kind](*arguments)
    if kind == "floor":
        job()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    best, pulls = np.inf, 0
    for _ in range(repeats):
        start = time.process_time()
        pulls = job()
        best = min(best, time.process_time() - start)
    return Measured(best, pulls, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def fresh(kind: str, arguments: tuple, repeats: int) -> Measured:
    """`measure` in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (kind, arguments, repeats))


def with_jax(python: str, regime: str, K: float, repeats: int) -> Measured:
    """The faster of the two JAX versions."""
    replicates, rounds = SIZES[regime, K]["JAX"]
    correct = int(0.1 * K) if regime == "rft" else -1
    program = Path(__file__).with_name("dense_jax.py")
    numbers = (int(K), correct, RATE[regime], replicates, rounds, repeats)
    done = subprocess.run(
        [python, program, *map(str, numbers)], capture_output=True, text=True, check=True
    ).stdout
    return Measured(min(json.loads(done).values()), replicates * rounds)


def install_jax() -> str:
    """Python of a virtual environment that has JAX, made at the first call."""
    folder = Path(tempfile.gettempdir()) / f"banditrft-{JAX.replace('=', '-')}"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", JAX], check=True)
    return str(python)


def _share(barrier, results, replicates: int) -> None:
    job = lumped("rft", 1e4, replicates)
    barrier.wait()
    start = time.perf_counter()
    job()
    results.put(time.perf_counter() - start)


def wall(processes: int, replicates: int) -> float:
    """Wall-clock seconds of so many replicates, split over processes."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.SimpleQueue()
    arguments = (barrier, results, replicates // processes)
    children = [context.Process(target=_share, args=arguments) for _ in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return max(results.get() for _ in children)


def two_cores(repeats: int) -> float:
    """How much faster two processes are than one."""
    replicates = 20 * REPLICATES
    times = [(wall(1, replicates), wall(2, replicates)) for _ in range(repeats)]
    return min(one for one, _ in times) / min(two for _, two in times)


def table(found: dict[tuple, Measured], speed_up: float) -> str:
    """Text of the whole table."""
    bottom = found["floor", "", 0.0].rate
    lines = [f"{'':44}{'M pulls/s':>10}{'ns/pull':>12}{'MiB':>7}{'of floor':>10}{'x best dense':>14}"]
    for (name, regime, K), line in found.items():
        label = f"{name}, {regime}, K = {K:.0e}" if regime else "random numbers alone"
        if (regime, K) in SIZES and name != "lumped":
            label += " (R = {}, T = {})".format(*SIZES[regime, K][name])
        size = max((k for r, k in SIZES if r == regime and k <= K), default=None)
        rivals = [m.rate for (n, r, k), m in found.items() if n != "lumped" and (r, k) == (regime, size)]
        ratio = f"{line.rate / max(rivals):,.2f}" if rivals else ""
        mib = "" if line.mib is None else f"{line.mib:.1f}"
        share = f"{line.rate / bottom:.0%}" if name == "lumped" else ""
        lines.append(
            f"{label:44}{line.rate / 1e6:10.4f}{1e9 / line.rate:12.1f}{mib:>7}{share:>10}{ratio:>14}"
        )
    ends = [found["lumped", "half", K] for K in (1e12, 1e4)]
    lines.append(f"lumped, K = 1e12 over 1e4: time x {ends[0].seconds / ends[1].seconds:.2f}")
    lines.append(f"two processes over one: x {speed_up:.2f}")
    return "\n".join(lines)


def main() -> None:
    """Measure every line and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--repeats", type=int, default=5, help="runs per line; the best counts")
    parser.add_argument("--jax-python", help="python of an environment with JAX")
    parser.add_argument("--without-jax", action="store_true")
    options = parser.parse_args()
    python = None if options.without_jax else options.jax_python or install_jax()
    found = {("floor", "", 0.0): fresh("floor", (), options.repeats)}
    for regime, K in OURS:
        found["lumped", regime, K] = fresh("lumped", (regime, K), options.repeats)
        if (regime, K) not in SIZES:
            continue
        for name in DENSE:
            found[name, regime, K] = fresh("dense", (name, regime, K), options.repeats)
        if python:
            found["JAX", regime, K] = with_jax(python, regime, K, options.repeats)
    speed_up = two_cores(options.repeats)
    if options.json:
        lines = [{"name": n, "regime": r, "K": k, **vars(m)} for (n, r, k), m in found.items()]
        print(json.dumps({"lines": lines, "two_cores": speed_up}))
    else:
        print(table(found, speed_up))


if __name__ == "__main__":
    main()
