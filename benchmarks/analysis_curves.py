"""Seconds of the analysis of 1,000 runs beside rliable: one run prints one table.

1,000 runs (simulated: four conditions of 125 seeds in a lumped and in a contextual world) of 100 evaluations
and 2,000 bootstrap replicates, on one core: simultaneous bands of mean curves and of interquartile means,
crossing, area, and the verdicts on A1, A3, A4 and A5. The floor of a band is one matrix product, resampled
weights (2,000 x 1,000) times the curves (1,000 x 100); the band takes it twice, for means and for squares.

Beside it stands rliable's sample-efficiency curve of the same 1,000 curves, its own code path (interquartile
mean of every evaluation, stratified bootstrap, percentiles) in a virtual environment of its own; its curve is
checked against ours. It makes as many replicates as `--theirs` says, and its time is scaled to 2,000, which
take half a minute.

Seconds are CPU seconds, the best of several runs; the first, which compiles, is not counted.

    python benchmarks/analysis_curves.py                         # installs rliable, in its own environment
    python benchmarks/analysis_curves.py --rliable-python PATH   # or uses one that has it
    python benchmarks/analysis_curves.py --without-rliable [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np

RLIABLE = ("rliable==1.2.0", "pandas<3")
RESAMPLES, REPEATS = 2_000, 3
Job = Callable[[], object]
STUDY = """
name = "curves"
seeds = 125
claims = ["A1", "A3", "A4", "A5"]
[design]
learning_rate = 0.1
rounds = 396
eval_every = 4
[[conditions]]
name = "G=1"
contextual = {learning_rate = 0.005}
[[conditions]]
name = "G=4"
rollouts = 4
contextual = {learning_rate = 0.005}
[[conditions]]
name = "GRPO"
rollouts = 4
signal = "grpo"
contextual = {learning_rate = 0.005}
[[conditions]]
name = "placebo"
reward = "random"
contextual = {learning_rate = 0.005}
[[sim]]
world = "lumped"
keep_groups = false
classes = [
  {name = "correct", arms = 1, mass = 0.2, reward = 1},
  {name = "wrong", arms = 999, mass = 0.8, reward = 0},
]
[[sim]]
world = "contextual"
base_pass_at_1 = 0.2
keep_groups = false
"""
THEIRS = """
import json, sys, time
import numpy as np
from rliable import library, metrics
curves, replicates = np.load(sys.argv[1]), int(sys.argv[2])
iqm = lambda scores: np.array([metrics.aggregate_iqm(scores[..., e]) for e in range(scores.shape[-1])])
start = time.process_time()
points, _ = library.get_interval_estimates({"runs": curves[:, None, :]}, iqm, reps=replicates)
print(json.dumps({"seconds": time.process_time() - start, "points": points["runs"].tolist()}))
"""


def best(job: Job) -> float:
    """CPU seconds of the fastest of several runs; the first compiles and is not counted."""
    job()
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        job()
        seconds.append(time.process_time() - start)
    return min(seconds)


def curves(theirs: str | None, replicates: int) -> list[tuple[str, float]]:
    """Lines of the first table: what was timed and its CPU seconds."""
    import sims
    from analysis import load, verdicts
    from analysis.curves.aggregates import iqm_band
    from analysis.curves.bands import mean_band
    from analysis.curves.conditions import mean_area, mean_crossing
    from analysis.inference.resampling import weights
    from banditrft.study import parse_study

    with tempfile.TemporaryDirectory() as folder:
        sims.run(parse_study(STUDY), Path(folder), workers=1)
        loading = best(lambda: load(Path(folder) / "curves"))
        records = load(Path(folder) / "curves")
        train = np.concatenate([cell.train for cell in records.cells])
        samples = np.concatenate([cell.train_samples for cell in records.cells])
        rounds = records.cells[0].rounds
        drawn = np.concatenate(list(weights([np.arange(len(train))], RESAMPLES, generator())))
        rows = [
            ("the band's matrix product alone (the floor)", best(lambda: drawn @ train)),
            (
                "resampled weights",
                best(lambda: list(weights([np.arange(len(train))], RESAMPLES, generator()))),
            ),
            (
                "simultaneous band of the mean",
                best(lambda: mean_band(train, rng=generator(), samples_NE=samples)),
            ),
            ("crossing of the mean", best(lambda: mean_crossing(rounds, train, 0.9, rng=generator()))),
            ("area", best(lambda: mean_area(rounds, train))),
            ("verdicts on four claims in memory", best(lambda: verdicts(records))),
        ]
        total = sum(seconds for _, seconds in rows[2:])
        rows.append(("bands, crossing, area and verdicts together (at most 5)", total))
        rows.append(("analysis.load of the 1,000 runs from disk", loading))
        own = best(lambda: iqm_band(train, rng=generator()))
        rows.append(("simultaneous band of interquartile means", own))
        if theirs:
            np.save(Path(folder) / "curves.npy", train)
            command = [theirs, "-c", THEIRS, str(Path(folder) / "curves.npy"), str(replicates)]
            said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            np.testing.assert_allclose(said["points"], iqm_band(train, rng=generator()).mean_E, atol=1e-8)
            rows.append(("rliable's sample-efficiency curve", said["seconds"] * RESAMPLES / replicates))
            rows.append(("  times our band of interquartile means (at least 20)", rows[-1][1] / own))
    return rows


def generator() -> np.random.Generator:
    """The same replicates for every repetition."""
    return np.random.default_rng(0)


def rliable_python() -> str:
    """An environment of its own with rliable."""
    folder = Path(tempfile.gettempdir()) / "banditrft-rliable"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *RLIABLE], check=True)
    return str(python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rliable-python", help="a Python that has rliable")
    parser.add_argument("--without-rliable", action="store_true")
    parser.add_argument("--theirs", type=int, default=200, help="replicates that rliable makes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    theirs = None if options.without_rliable else options.rliable_python or rliable_python()
    timed = curves(theirs, options.theirs)
    if options.json:
        json.dump(dict(timed), sys.stdout, indent=1)
        return
    for name, seconds in timed:
        print(f"{name:60} {seconds:9.3f}")


if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    main()
