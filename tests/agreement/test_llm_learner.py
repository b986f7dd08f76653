"""The stacked learner takes the steps that transformers, autograd and torch.optim take one model at a time."""

import pytest
import torch
from support.llm import SHIPPED, TASK, TOKENIZER, packed, perturbed, world

from banditrft.design import Design
from llm_runs.interfaces import Batch, Limits, Prompts, Samples
from llm_runs.tiny.architecture import unpack
from llm_runs.tiny.learner import StackedLearner
from llm_runs.tiny.network import replica, stack

pytestmark = pytest.mark.slow(20)

S, G, T = 2, 4, 12
LIMITS = Limits(TASK.prompt_max, T, 0.8, (1,), 0)
DESIGNS = {
    "adam": {"betas": (0.8, 0.95)},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.01, "aggregation": "max-length"},
    "clips": {"updates_per_round": 3, "clip_low": 0.02, "clip_high": 0.05, "dual_clip": 1.04},
    "all": {
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "grad_clip": 0.1,
        "updates_per_round": 2,
        "kl_coef": 0.3,
        "aggregation": "micro-batch-mean",
    },
}


def design(name: str = "adam", **changes: object) -> Design:
    base = {"rollouts": G, "learning_rate": 0.003, "rounds": 1, "adam_eps": 1e-4}
    return Design.model_validate(base | DESIGNS[name] | changes)


def learner(
    arch, models, setup: Design, *, cap: float | None = None, limits: Limits = LIMITS
) -> StackedLearner:
    setting = world(micro_batch=3, importance_cap=cap)
    return StackedLearner(arch, stack(packed(arch, models)), setup, setting, limits)


def some_batch(Q: int, seed: int = 0, replicas: int = S, inactive: bool = False) -> Batch:
    """Random responses of all lengths, signals of both signs, log-probabilities of a sampler that is off."""
    rng = torch.Generator().manual_seed(seed)
    shape = (replicas, Q, G)
    ids = [TOKENIZER.encode(item) for item in TASK.items("pretrain", replicas * Q)]
    prompts = Prompts([ids[s * Q : (s + 1) * Q] for s in range(replicas)], [list(range(Q))] * replicas)
    samples = Samples(
        torch.randint(2, 18, (*shape, T), generator=rng),
        torch.randint(1, T + 1, shape, generator=rng),
        -2.0 + torch.randn(*shape, T, dtype=torch.float64, generator=rng),
    )
    signals = torch.randn(shape, dtype=torch.float64, generator=rng)
    active = torch.rand(shape, generator=rng) < 0.6 if inactive else None
    return Batch(prompts, samples, signals, active)


def fresh(model):
    copy = type(model)(model.config).to(model.dtype)
    copy.load_state_dict(model.state_dict())
    return copy


def scores(model, batch: Batch, s: int) -> list[tuple[torch.Tensor, float]]:
    """Log-probabilities of each response's tokens, and its summed entropy, one forward pass per response."""
    out = []
    for prompt, rows, lengths in zip(
        batch.prompts.ids[s], batch.samples.tokens_SQGT[s], batch.samples.lengths_SQG[s].tolist(), strict=True
    ):
        for row, length in zip(rows, lengths, strict=True):
            ids = torch.cat((torch.tensor(prompt), row[:length]))[None]
            table = torch.log_softmax(model(input_ids=ids).logits[0, -length - 1 : -1] / 0.8, -1)
            entropy = float(-(table.exp() * table).detach().sum())
            out.append((table[torch.arange(length), row[:length]], entropy))
    return out


def weight_of(setup: Design, lengths: list[int], active: list[bool], n: int) -> float:
    counted = sum(length for length, a in zip(lengths, active, strict=True) if a)
    if not active[n]:
        return 0.0
    if setup.aggregation == "token-mean":
        return 1 / counted
    if setup.aggregation == "max-length":
        return 1 / (sum(active) * T)
    pieces = [range(i, min(i + 3, len(active))) for i in range(0, len(active), 3)]
    tokens = [sum(lengths[i] for i in piece if active[i]) for piece in pieces]
    return 1 / (sum(t > 0 for t in tokens) * tokens[n // 3])


def reference(model, setup: Design, batch: Batch, s: int, cap: float | None):
    """All of a round's updates on one model, from the definitions; the loss and mean entropy before them."""
    lengths = batch.samples.lengths_SQG[s].flatten().tolist()
    signals = batch.signals_SQG[s].flatten().tolist()
    active = [True] * len(lengths) if batch.active_SQG is None else batch.active_SQG[s].flatten().tolist()
    sampled = batch.samples.logprobs_SQGT[s].flatten(0, 1)
    if setup.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=setup.learning_rate)
    else:
        kind = torch.optim.AdamW if setup.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(
            model.parameters(),
            lr=setup.learning_rate,
            betas=setup.betas,
            eps=setup.adam_eps,
            weight_decay=setup.weight_decay,
        )
    old = [logp.detach() for logp, _ in scores(model, batch, s)]
    losses, entropies = [], []
    for _ in range(setup.updates_per_round):
        total = torch.zeros((), dtype=torch.float64)
        for n, (logp, entropy) in enumerate(scores(model, batch, s)):
            ratio, signal = (logp - old[n]).exp(), signals[n]
            loss = -torch.minimum(
                ratio * signal, ratio.clamp(1 - setup.clip_low, 1 + setup.clip_high) * signal
            )
            if setup.dual_clip is not None and signal < 0:
                loss = loss.clamp(max=-setup.dual_clip * signal)
            if cap is not None:
                loss = loss * (old[n] - sampled[n, : lengths[n]]).exp().clamp(max=cap)
            gap = old[n] - logp  # the initial policy is the one before the first step
            loss = loss + setup.kl_coef * (gap.exp() - gap - 1)
            total = total + weight_of(setup, lengths, active, n) * loss.sum()
            entropies.append(entropy)
        losses.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        if setup.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), setup.grad_clip)
        optimizer.step()
    return losses[0], sum(entropies[: len(old)]) / len(old)


@pytest.fixture(scope="module", params=SHIPPED)
def case(request):
    arch, models = perturbed(request.param, S)
    return arch, [model.double() for model in models]


@pytest.mark.parametrize("Q", [1, 3])
@pytest.mark.parametrize("name", DESIGNS)
def test_a_round_equals_the_plain_reference(case, Q, name):
    arch, models = case
    setup, cap = design(name, batch_size=Q), 1.5 if name == "all" else None
    batch = some_batch(Q, seed=Q, inactive=name == "all")
    ours = learner(arch, models, setup, cap=cap)
    record = ours.step(batch)
    for s in range(S):
        model = fresh(models[s])
        loss, entropy = reference(model, setup, batch, s, cap)
        assert float(record.loss_S[s]) == pytest.approx(loss, abs=1e-6)
        assert float(record.entropy_S[s]) == pytest.approx(entropy, abs=1e-3)
        stepped = unpack(arch, replica(ours.weights, s))
        for parameter, tensor in model.named_parameters():
            torch.testing.assert_close(
                stepped[parameter], tensor.detach(), rtol=0, atol=1e-5, msg=lambda m, p=parameter: f"{p}: {m}"
            )
        start = dict(models[s].named_parameters())
        moved = sum(float((p - start[n]).detach().square().sum()) for n, p in model.named_parameters())
        assert float(record.update_norm_S[s]) == pytest.approx(moved**0.5, rel=1e-4)
        assert (float(record.clip_fraction_S[s]) > 0) == (setup.updates_per_round > 1)


@pytest.mark.parametrize("Q", [1, 5])
def test_loss_and_step_do_not_depend_on_how_a_round_is_cut_up(case, Q, monkeypatch):
    arch, models = case
    made = []
    for rows in (G, 2 * G, 1000):
        monkeypatch.setattr("llm_runs.tiny.learner.ROWS", rows)
        ours = learner(arch, models, design("all", batch_size=Q))
        made.append((ours.step(some_batch(Q)), ours.weights))
    for record, weights in made[1:]:
        torch.testing.assert_close(record.loss_S, made[0][0].loss_S, rtol=0, atol=1e-12)
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, made[0][1][name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("Q", [1, 3])
@pytest.mark.parametrize("name", DESIGNS)
def test_what_is_stacked_changes_no_bit(Q, name):
    arch, models = perturbed("tiny-qwen2", 3)
    batch, setup = some_batch(Q, replicas=3), design(name, batch_size=Q)
    together = learner(arch, models, setup)
    record = together.step(batch)
    for s in range(3):
        one = slice(s, s + 1)
        prompts = Prompts(batch.prompts.ids[one], batch.prompts.items[one])
        samples = batch.samples
        own = Samples(samples.tokens_SQGT[one], samples.lengths_SQG[one], samples.logprobs_SQGT[one])
        alone = learner(arch, models[one], setup)
        lonely = alone.step(Batch(prompts, own, batch.signals_SQG[one]))
        assert torch.equal(lonely.loss_S[0], record.loss_S[s])
        assert torch.equal(lonely.grad_norm_S[0], record.grad_norm_S[s])
        for tensor, lone in zip(together.weights.values(), alone.weights.values(), strict=True):
            assert torch.equal(tensor[s], lone[0])


@pytest.mark.parametrize("Q", [1, 3])
def test_what_follows_the_end_of_a_response_does_not_matter(case, Q):
    arch, models = case
    batch = some_batch(Q)
    garbage = batch.samples.tokens_SQGT.clone()
    garbage[torch.arange(T) >= batch.samples.lengths_SQG[..., None]] = 7
    assert not torch.equal(garbage, batch.samples.tokens_SQGT)
    other = Samples(garbage, batch.samples.lengths_SQG, batch.samples.logprobs_SQGT)
    setup = design("all", batch_size=Q)
    records = [
        learner(arch, models, setup).step(Batch(batch.prompts, samples, batch.signals_SQG))
        for samples in (batch.samples, other)
    ]
    assert torch.equal(records[0].loss_S, records[1].loss_S)
    assert torch.equal(records[0].entropy_S, records[1].entropy_S)
    assert torch.equal(records[0].grad_norm_S, records[1].grad_norm_S)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_round_in_which_nothing_counts_is_a_step_on_a_zero_gradient(optimizer):
    arch, models = perturbed("tiny-qwen2", S)
    ours = learner(arch, models, design(optimizer=optimizer, batch_size=3))
    ours.step(some_batch(3))
    batch = some_batch(3, seed=1)
    none = torch.zeros(S, 3, G, dtype=torch.bool)
    none[1] = True
    record = ours.step(Batch(batch.prompts, batch.samples, batch.signals_SQG, none))
    assert (record.loss_S[0], record.grad_norm_S[0], record.tokens_S[0]) == (0.0, 0.0, 0)
    # momentum carries Adam over a round without signal; SGD stands still
    assert (float(record.update_norm_S[0]) > 0) == (optimizer == "adam")
    assert float(record.grad_norm_S[1]) > 0


@pytest.mark.parametrize("Q", [1, 3])
def test_divergence_is_the_estimate_from_the_initial_policy(case, Q):
    arch, models = case
    batch = some_batch(Q)
    ours = learner(arch, models, design(kl_coef=0.1, kl_placement="reward", kl_estimator="k1", batch_size=Q))
    before = ours.logprobs(batch.prompts, batch.samples)
    assert ours.divergence(batch.prompts, batch.samples).abs().max() == 0
    ours.step(batch)
    after = ours.logprobs(batch.prompts, batch.samples)
    made = ours.divergence(batch.prompts, batch.samples)
    torch.testing.assert_close(made, (after - before).sum(-1), rtol=0, atol=1e-12)
    gap = before - after
    record = ours.step(batch)
    assert record.kl_S is not None
    torch.testing.assert_close(record.kl_S, (gap.exp() - gap - 1).sum(-1).flatten(1).mean(-1))


def test_mismatch_is_the_largest_distance_of_the_sampler(case):
    arch, models = case
    batch = some_batch(1)
    ours = learner(arch, models, design())
    logprobs = ours.logprobs(batch.prompts, batch.samples)
    logprobs[1, 0, 2, 0] += 0.25
    samples = Samples(batch.samples.tokens_SQGT, batch.samples.lengths_SQG, logprobs)
    record = ours.step(Batch(batch.prompts, samples, batch.signals_SQG))
    torch.testing.assert_close(record.mismatch_S, torch.tensor([0.0, 0.25], dtype=torch.float64))
