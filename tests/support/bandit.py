"""Records of simulated bandits for the fits: one small study, run once, and its runs in slices."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import sims
from analysis.loading.records import Records, load
from banditrft.study import parse_study

HEAD = """
name = "bandits"
seeds = {seeds}
[design]
learning_rate = 0.1
rounds = {rounds}
eval_every = {every}
eval_samples = 32
final_eval_samples = 64
final_test_samples = 4
"""
CONDITIONS = """
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
name = "G=1, SGD"
optimizer = "sgd"
sim = {learning_rate = 1.0}
contextual = {learning_rate = 0.015}
[[conditions]]
name = "placebo"
reward = "random"
contextual = {learning_rate = 0.005}
"""
LUMPED = """
[[sim]]
world = "lumped"
classes = [
  {{name = "correct", arms = 1, mass = {base}, reward = 1}},
  {{name = "wrong", arms = 999, mass = {rest}, reward = 0}},
]
{more}
"""
CONTEXTUAL = """
[[sim]]
world = "contextual"
test_items = 400
base_pass_at_1 = {base}
{more}
"""


def text(
    *, seeds=12, rounds=80, every=5, base=0.2, more="", conditions=CONDITIONS, worlds=(LUMPED, CONTEXTUAL)
):
    """A study file of small bandits."""
    if CONTEXTUAL not in worlds:
        conditions = "".join(x for x in conditions.splitlines(True) if not x.startswith("contextual ="))
    made = "".join(w.format(base=base, rest=1 - base, more=more) for w in worlds)
    return HEAD.format(seeds=seeds, rounds=rounds, every=every) + conditions + made


def run(study_text: str, folder: Path) -> Records:
    """Simulate a study and read it back."""
    study = parse_study(study_text)
    sims.run(study, folder, workers=1)
    return load(folder / study.name)


@lru_cache(maxsize=1)
def bandits() -> Records:
    """The default study, simulated once per process; its folder stays as long as the process."""
    return run(text(), Path(_FOLDER.name))


_FOLDER = TemporaryDirectory(prefix="bandits-")


def subset(counts, chosen):
    """The counts of some of the runs."""
    return replace(
        counts,
        seed=counts.seed[chosen],
        counts_RE2=counts.counts_RE2[chosen],
        rollouts_RT2=None if counts.rollouts_RT2 is None else counts.rollouts_RT2[chosen],
        test_R22=counts.test_R22[chosen],
        groups_RTB=None if counts.groups_RTB is None else counts.groups_RTB[chosen],
    )
