"""The sync canary on a real vLLM: pushes that did not happen, and a prefix cache that was not reset."""

import pytest
from support.vllm import MODEL, canary, engine, learner, limits, needs_vllm, nudge, step, world

from llm_runs.base_models import find_model
from llm_runs.engines.canary import StaleWeightsError
from llm_runs.engines.vllm import VLLMEngine
from llm_runs.interfaces import Learner


class Deaf(VLLMEngine):
    """vLLM that takes the base weights and no others."""

    def push(self, learner: Learner) -> None:
        if not self._pushes:
            super().push(learner)


@needs_vllm
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_healthy_vllm_passes(replicas):
    sampler, of = engine(), learner(replicas=replicas)
    watch = canary(sampler, of)
    sampler.push(of)
    watch.after_push(0)
    for round_ in (1, 2, 3):
        step(of, sampler, round_)
        sampler.push(of)
        watch.after_push(round_)


@needs_vllm
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_push_that_did_not_happen_is_caught(replicas):
    sampler = Deaf(find_model(MODEL), world(), limits())
    of = learner(replicas=replicas)
    watch = canary(sampler, of)
    sampler.push(of)
    watch.after_push(0)
    step(of, sampler)
    sampler.push(of)
    with pytest.raises(StaleWeightsError, match=r"round 1: .*mean difference may be 5e-05 in float32"):
        watch.after_push(1)


@needs_vllm
@pytest.mark.parametrize("every", [1, 4])
def test_a_prefix_cache_that_was_not_reset_is_caught(every, monkeypatch):
    sampler, of = engine(), learner()
    watch = canary(sampler, of, every)
    sampler.push(of)
    watch.after_push(0)
    nudge(of)
    monkeypatch.setattr(sampler.server.llm, "reset_prefix_cache", lambda: True)
    sampler.push(of)
    with pytest.raises(StaleWeightsError, match="prefix cache"):
        watch.after_push(1)


@needs_vllm
def test_a_prefix_cache_not_reset_late_in_a_run_is_caught(monkeypatch):
    sampler, of = engine(), learner()
    watch = canary(sampler, of, every=4)
    for round_ in range(9):
        sampler.push(of)
        watch.after_push(round_)
        nudge(of)
    monkeypatch.setattr(sampler.server.llm, "reset_prefix_cache", lambda: True)
    for round_ in (9, 10):
        sampler.push(of)
        watch.after_push(round_)
    sampler.push(of)
    with pytest.raises(StaleWeightsError, match="round 11"):
        watch.after_push(11)


@needs_vllm
def test_short_prompts_would_not_see_the_prefix_cache(monkeypatch):
    sampler, of = engine(), learner()
    monkeypatch.setattr(sampler, "longest_prompt", limits().prompt_max)
    watch = canary(sampler, of)
    sampler.push(of)
    watch.after_push(0)
    nudge(of)
    monkeypatch.setattr(sampler.server.llm, "reset_prefix_cache", lambda: True)
    sampler.push(of)
    watch.after_push(1)
