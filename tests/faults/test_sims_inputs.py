"""Bad input to the simulator: one clear error that names the field, and nothing else."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import sims
from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.rewards import RewardMap
from banditrft.runs import Run
from banditrft.worlds import ContextualWorld, LLMWorld, LumpedWorld, WorldSettings
from sims import tables
from sims.contextual import simulator as contextual
from sims.contextual.contexts import Contexts
from sims.learner import TableLearner
from sims.lumped import simulator as lumped
from sims.lumped.kernel import LumpedPaths

RAW = np.array([[0.0, 0.0], [0.0, 1.0]])
BANDIT = lumped.Bandit.of([1, 9], [0.1, 0.9], [1, 0])
WORLD = LumpedWorld.model_validate(
    {
        "seeds": 4,
        "classes": [{"name": "a", "mass": 0.5, "reward": 1.0}, {"name": "b", "mass": 0.5, "reward": 0.0}],
    }
)
GRADED = {
    "seeds": 4,
    "classes": [
        {"name": "a", "mass": 0.5, "reward": 1.0},
        {"name": "b", "mass": 0.5, "reward": 0.0, "grade": 0.2},
    ],
}
ARRAYS = np.array([1.0, 9.0]), np.array([0.1, 0.9]), np.array([1.0, 0.0])


def simulate(**changed: object) -> LumpedPaths:
    arguments: dict[str, object] = {"root_seed": 0, "seeds": [0], "rounds": 5, **changed}
    return lumped.simulate(BANDIT, TableLearner(RAW, 1.0), **arguments)  # type: ignore[arg-type]


def execute(world: WorldSettings = WORLD, **design: object) -> None:
    made = Design(**{"rounds": 3, "learning_rate": 0.1, **design})  # type: ignore[arg-type]
    sims.execute(Run("id", world, "c", made, Evaluation(), 0, range(2)))


def check_size(**design: object) -> None:
    tables.check_size(Design(learning_rate=0.1, **design), WORLD)  # type: ignore[arg-type]


BAD: dict[str, tuple[str, Callable[[], object]]] = {
    "mass above one": ("mass", lambda: lumped.Bandit.of([1, 1], [0.7, 0.7], [1, 0])),
    "no arms": ("arms", lambda: lumped.Bandit.of([0, 1], [0.5, 0.5], [1, 0])),
    "part of an arm": ("arms", lambda: lumped.Bandit.of([1.5, 1], [0.5, 0.5], [1, 0])),
    "reward above one": ("reward", lambda: lumped.Bandit.of([1, 1], [0.5, 0.5], [2, 0])),
    "unequal lengths": ("classes", lambda: lumped.Bandit.of([1, 1], [0.5, 0.5], [1])),
    "no classes": ("classes", lambda: lumped.Bandit.of([], [], [])),
    "negative rounds": ("rounds", lambda: simulate(rounds=-1)),
    "negative seed": ("seeds", lambda: simulate(seeds=[-1])),
    "eval after the end": ("eval_rounds", lambda: simulate(eval_rounds=[0, 6])),
    "evals not rising": ("eval_rounds", lambda: simulate(eval_rounds=[3, 3])),
    "target above one": ("target", lambda: simulate(target=1.5)),
    "table shape": ("table", lambda: TableLearner(np.zeros((3, 3)), 1.0)),
    "no step": ("learning_rate", lambda: TableLearner(RAW, 0.0)),
    "huge step": ("learning_rate", lambda: TableLearner(RAW, 1e3)),
    "huge Adam step": ("learning_rate", lambda: TableLearner(RAW, 1e3, "adam")),
    "no eps": ("adam_eps", lambda: TableLearner(RAW, 0.1, "adam", adam_eps=0.0)),
    "unbounded betas": ("betas", lambda: TableLearner(RAW, 0.1, "adam", betas=(0.99, 0.9))),
    "placebo rate": ("p_high_if_wrong", lambda: TableLearner(RAW, 0.1, reward=RewardMap(0, 1, 1.5, 1.5))),
    "false positive rate": ("p_high_if_wrong", lambda: TableLearner(RAW, 0.1, reward=RewardMap(0, 1, -0.1))),
    "right answers' rate": (
        "p_high_if_right",
        lambda: TableLearner(RAW, 0.1, reward=RewardMap(0, 1, 0, 1.1)),
    ),
    "baseline of a batch signal": (
        "baseline_rollouts",
        lambda: execute(signal="gpg", rollouts=2, baseline_rollouts=2),
    ),
    "window of a batch signal": (
        "replay_window",
        lambda: execute(signal="batch-centered", batch_size=2, replay_window=9),
    ),
    "decay in a batch": (
        "weight_decay",
        lambda: execute(batch_size=2, optimizer="adamw", learning_rate=1.0, weight_decay=0.6),
    ),
    "matched grades": (
        "match_step_size",
        lambda: execute(
            LumpedWorld.model_validate(GRADED),
            signal="centered",
            reward="graded",
            rollouts=2,
            optimizer="sgd",
            match_step_size=True,
        ),
    ),
    "steps beyond doubles": (
        "learning_rate",
        lambda: execute(optimizer="sgd", learning_rate=1e308, kl_coef=1e3, kl_estimator="k1"),
    ),
    "steps whose squares are beyond doubles": (
        "learning_rate",
        lambda: execute(optimizer="sgd", learning_rate=1e300, batch_size=2),
    ),
    "exponentials beyond doubles": (
        "kl_coef",
        lambda: execute(
            optimizer="sgd", learning_rate=50.0, rollouts=4, batch_size=2, kl_coef=50.0, updates_per_round=30
        ),
    ),
    "a batch beyond memory": ("batch_size", lambda: execute(batch_size=2 * 10**9)),
    "baselines beyond memory": (
        "baseline_rollouts",
        lambda: execute(signal="centered", baseline_rollouts=10**20),
    ),
    "a window beyond memory": ("replay_window", lambda: execute(signal="centered", replay_window=10**15)),
    "a window beyond memory with contexts": (
        "replay_window",
        lambda: execute(ContextualWorld(seeds=4), signal="centered", replay_window=10**15),
    ),
    "rounds beyond memory": ("rounds", lambda: check_size(rounds=10**8)),
    "groups beyond memory": ("keep_groups", lambda: check_size(rounds=10**5, batch_size=1000)),
    "grade above one": ("grade", lambda: lumped.Bandit(*ARRAYS, np.array([0.0, 2.0]))),
    "negative sharing": ("shared", lambda: lumped.Bandit(*ARRAYS, shared=-1.0)),
    "no clip": ("grad_clip", lambda: TableLearner(RAW, 0.1, grad_clip=0.0)),
    "negative decay": ("weight_decay", lambda: TableLearner(RAW, 0.1, "adamw", weight_decay=-0.1)),
    "decay of more than half": ("weight_decay", lambda: TableLearner(RAW, 0.1, "adamw", weight_decay=6.0)),
    "signal not finite": ("table", lambda: TableLearner(RAW + np.inf, 1.0)),
    "language model": ("world", lambda: execute(LLMWorld(model="tiny-qwen2", seeds=1))),
    "seeds without contexts": (
        "seeds",
        lambda: contextual.simulate(
            np.ones(2),
            Contexts(np.ones((2, 1, 2)), np.zeros((2, 1))),
            Design(learning_rate=0.1, rounds=1),
            root_seed=0,
            seeds=[0],
        ),
    ),
}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("case", BAD)
def test_one_error_names_the_field(case: str) -> None:
    field, call = BAD[case]
    with pytest.raises(InputError, match=field):
        call()


def test_importing_sims_compiles_nothing() -> None:
    code = "import sys, sims; sys.exit(any(m in sys.modules for m in ('numba', 'scipy', 'polars', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_functions_in_any_order() -> None:
    """A submodule of the same name would shadow a lazily loaded function once it is imported."""
    for order in (("execute", "run"), ("run", "execute")):
        code = f"import sims, sys; sys.exit(not all(callable(getattr(sims, n)) for n in {order + order}))"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sims.nonsense
