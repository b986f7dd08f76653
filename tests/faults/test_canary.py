"""The sync canary stops a run whose sampler does not have the learner's weights, and lets a healthy one go on."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from support.vllm import MODEL, VOCABULARY, address, canary, learner, limits, nudge, prompts, world

from banditrft.design import Design
from banditrft.errors import InputError
from llm_runs.base_models import find_model
from llm_runs.base_models.modules import load_module
from llm_runs.engines.cached import CachedEngine
from llm_runs.engines.canary import Canary, StaleWeightsError, canary_prompts
from llm_runs.interfaces import Address, Batch, Prompts, Samples
from llm_runs.learners.module import ModuleLearner
from llm_runs.tiny.architecture import architecture_of, weights_of
from llm_runs.tiny.engine import StackedEngine
from llm_runs.tiny.learner import StackedLearner
from llm_runs.tiny.network import stack


class Counting(StackedEngine):
    """The torch engine, noting at which pushes it was asked for samples."""

    def __init__(self) -> None:
        model = find_model(MODEL)
        super().__init__(architecture_of(model), limits())
        self.asked: list[int] = []
        self.now = 0

    def sample(self, prompts: Prompts, rollouts: Sequence[int], address: Address) -> Samples:
        self.asked.append(self.now)
        return super().sample(prompts, rollouts, address)


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_stacked_engine_passes(replicas):
    of = learner(replicas=replicas)
    sampler = Counting()
    watch = canary(sampler, of)
    for round_ in (0, 1, 2):
        sampler.push(of)
        watch.after_push(round_)
        nudge(of)


def test_the_cached_engine_passes():
    module = load_module(find_model(MODEL), dtype=torch.float32, device=torch.device("cpu"), lora=None)
    of = ModuleLearner(module, Design(learning_rate=1e-3, rounds=1), world(engine="torch"), limits())
    sampler = CachedEngine(limits())
    watch = canary(sampler, of)
    sampler.push(of)
    watch.after_push(0)


def test_another_learners_weights_are_caught_in_any_engine():
    sampler, of = Counting(), learner()
    nudge(of)
    sampler.push(learner())
    with pytest.raises(StaleWeightsError):
        canary(sampler, of).after_push(0)


def test_a_replica_that_diverged_stops_no_other():
    sampler, of = Counting(), learner(replicas=2)
    of.weights["norm"].data[0].fill_(float("nan"))
    sampler.push(of)
    canary(sampler, of).after_push(0)


def test_stale_weights_are_caught_beside_a_replica_that_diverged():
    sampler, of = Counting(), learner(replicas=2)
    sampler.push(learner(replicas=2))
    of.weights["norm"].data[0].fill_(float("nan"))
    of.weights["norm"].data[1] += 0.01
    with pytest.raises(StaleWeightsError):
        canary(sampler, of).after_push(0)


def test_a_sampler_whose_log_probabilities_are_no_numbers_is_caught():
    sampler, of, broken = Counting(), learner(), learner()
    broken.weights["norm"].data.fill_(float("nan"))
    sampler.push(broken)
    with pytest.raises(StaleWeightsError, match="nan"):
        canary(sampler, of).after_push(0)


class OneTokenOff(StackedEngine):
    """The torch engine, one token's log-probability rounded far worse than the others'."""

    def sample(self, prompts: Prompts, rollouts: Sequence[int], address: Address) -> Samples:
        samples = super().sample(prompts, rollouts, address)
        samples.logprobs_SQGT[0, 0, 0, 0] += 1e-3
        return samples


def test_the_rounding_of_a_single_token_stops_no_run():
    endless, of = replace(limits(), ends=()), learner()
    sampler = OneTokenOff(of.arch, endless)
    sampler.push(of)
    Canary(sampler, of, endless, "float32", VOCABULARY, 1).after_push(0)


@pytest.mark.parametrize("rate", [0.3, 1.0, 10.0])
def test_a_healthy_run_of_very_large_weights_goes_on(rate):
    base = find_model(MODEL)
    of = StackedLearner(
        architecture_of(base),
        stack([weights_of(base)]),
        Design(learning_rate=rate, rounds=1),
        world(),
        limits(),
    )
    sampler = Counting()
    watch = canary(sampler, of)
    sampler.push(of)
    for round_ in range(4):
        watch.after_push(round_)
        samples = sampler.sample(prompts(), range(2), address(round_=round_))
        signals = torch.where(samples.lengths_SQG % 2 == 0, 1.0, -1.0).double()
        of.step(Batch(prompts(), samples, signals))


@pytest.mark.parametrize(("every", "checked"), [(1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (4, [0, 1, 3, 4, 7, 8])])
def test_checks_come_in_pairs_so_that_the_second_meets_the_firsts_cache(every, checked):
    sampler, of = Counting(), learner()
    sampler.push(of)
    watch = canary(sampler, of, every)
    for push in range(10):
        sampler.now = push
        watch.after_push(push)
    assert sampler.asked == checked


def test_canary_prompts_hold_no_end_and_no_pad():
    prompts = canary_prompts(limits(), VOCABULARY, 200, replicas=2)
    found = {token for row in prompts.ids for ids in row for token in ids}
    assert found == set(range(2, VOCABULARY))
    assert [len(ids) for ids in prompts.ids[1]] == [200, 200]


def test_a_base_model_that_gives_no_numbers_is_an_error():
    sampler, of = Counting(), learner()
    of.weights["norm"].data.fill_(float("nan"))
    sampler.push(of)
    with pytest.raises(InputError, match="model: mine: log-probabilities must be finite, got nan"):
        canary(sampler, of).after_push(0, base="mine")
