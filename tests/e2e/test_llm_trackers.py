"""Trackers: TensorBoard's own files read back, and what is said where a package is missing."""

from importlib.util import find_spec

import pytest
from support.memory import study_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import llm_runs
from banditrft.errors import InputError
from llm_runs.trackers import open_tracker

TENSORBOARD = 'tracker = "tensorboard"'


def read(folder):
    """Scalars by name: steps and values."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return {name: [(e.step, e.value) for e in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_a_run_shows_its_rounds(tmp_path):
    _, (run,) = study_of("tiny-qwen2", world=TENSORBOARD)
    (tables,) = llm_runs.execute([run], training=tmp_path)
    shown = read(tmp_path / "trackers" / run.run_id)
    rewards = list(zip(tables.rounds["round"], tables.rounds["reward_mean"], strict=True))
    assert shown["reward_mean"] == rewards  # shares of four, which float32 holds exactly
    assert "kl" not in shown  # not measured without an initial policy


def test_a_run_that_goes_on_supersedes_what_was_shown_of_later_rounds(tmp_path):
    _, (run,) = study_of("tiny-qwen2", world=TENSORBOARD)
    before = open_tracker(run.world, run, tmp_path)
    for round_ in (1, 2, 3):
        before.round(round_, {"loss": float(round_)})
    before.close()
    after = open_tracker(run.world, run, tmp_path, done=1)
    after.round(2, {"loss": 20.0})
    after.close()
    assert read(tmp_path / "trackers" / run.run_id)["loss"] == [(1, 1.0), (2, 20.0)]


def test_no_tracker_is_the_default(tmp_path):
    _, (run,) = study_of("tiny-qwen2")
    assert open_tracker(run.world, run, tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed here")
def test_a_missing_package_is_said_with_how_to_get_it(tmp_path):
    _, (run,) = study_of("tiny-qwen2", world='tracker = "wandb"')
    with pytest.raises(InputError, match=r"^tracker: wandb is not installed here; pip install wandb$"):
        open_tracker(run.world, run, tmp_path)
