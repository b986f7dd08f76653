"""Estimated memory against the peak of real runs, each in a process of its own: within a factor of 1.5."""

import pytest
from support import memory

pytestmark = pytest.mark.slow(50)

FACTOR = 1.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random Qwen2 of 27 million weights."""
    path = tmp_path_factory.mktemp("model")
    memory.grouped_qwen2(path)
    return path


def check(model, **settings):
    estimated, real = memory.measured(model, **settings)
    assert real / FACTOR < estimated < real * FACTOR, (estimated, real)


@pytest.mark.parametrize("settings", [{}, {"seeds": 8, "rollouts": 64}])
def test_tiny_models(settings):
    check("tiny-qwen2", **settings)


IN_PARTS = "micro_batch = 8\ngradient_checkpointing = true"


@pytest.mark.parametrize(("world", "rollouts"), [('dtype = "bfloat16"', 64), (IN_PARTS, 16)])
def test_a_model_that_does_not_stack(folder, world, rollouts):
    """With a KL, so that every response has a gradient; a third micro-batch would take no more memory than two."""
    check(folder, rollouts=rollouts, kl_coef=0.1, world=world)
