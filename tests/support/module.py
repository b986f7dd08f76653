"""Tiny models of several architectures, a round for them, and the round's step in plain torch."""

import copy

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from banditrft.design import Design
from banditrft.worlds import LLMWorld
from llm_runs.interfaces import Batch, Limits, Prompts, Samples
from llm_runs.learners.module import ModuleLearner

SHAPE = {
    "vocab_size": 20,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 32,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
GPT2 = {
    "vocab_size": 20,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 32,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
KINDS = ("qwen2", "gpt2")
Q, G, T = 2, 3, 7
LIMITS = Limits(prompt_max=6, max_new=T, temperature=0.8, ends=(1,), pad=0)
PROMPTS = [[3, 5, 7, 2], [4, 9]]
LENGTHS = torch.tensor([[[7, 2, 5], [1, 4, 7]]])
SIGNALS = torch.tensor([[[1.0, -0.5, 0.0], [0.75, -1.0, 0.25]]], dtype=torch.float64)


def tiny(kind: str, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    """A model of random weights, large enough that no two policies are alike, without dropout."""
    rates = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = AutoConfig.for_model(kind, **(GPT2 | rates if kind == "gpt2" else SHAPE))
    torch.manual_seed(seed)
    module = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return module.to(dtype).eval()


def with_adapters(module: torch.nn.Module) -> torch.nn.Module:
    """Adapters of rank 2 on all linear layers, none of them 0; as `llm_runs.base_models.modules.load_module` makes them."""
    adapted = get_peft_model(module, LoraConfig(r=2, lora_alpha=4.0, target_modules="all-linear"))
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return adapted


def design(**settings: object) -> Design:
    values = {"batch_size": Q, "rollouts": G, "learning_rate": 0.01, "rounds": 5, "optimizer": "sgd"}
    return Design.model_validate(values | settings)


def world(**settings: object) -> LLMWorld:
    return LLMWorld.model_validate({"model": "tiny", "seeds": 1, **settings})


def round_of(seed: int = 0, active: torch.Tensor | None = None, signals: torch.Tensor = SIGNALS) -> Batch:
    """Responses of uneven lengths, of tokens drawn evenly, with log-probabilities of no model."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, 20, (1, Q, G, T), generator=generator)
    logprobs = -3.0 + torch.rand((1, Q, G, T), dtype=torch.float64, generator=generator)
    after = torch.arange(T) >= LENGTHS[..., None]
    tokens[after], logprobs[after] = 0, 0.0
    prompts = Prompts([PROMPTS], [[0, 1]])
    return Batch(prompts, Samples(tokens, LENGTHS, logprobs), signals, active)


def learner_of(module: torch.nn.Module, settings: Design, **of_world: object) -> ModuleLearner:
    return ModuleLearner(copy.deepcopy(module), settings, world(**of_world), LIMITS)


def responses(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """Prompt and response of each row."""
    rows = []
    for q in range(Q):
        for g in range(G):
            length = int(batch.samples.lengths_SQG[0, q, g])
            rows.append((PROMPTS[q], batch.samples.tokens_SQGT[0, q, g, :length].tolist()))
    return rows


def plain_scores(module: torch.nn.Module, batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Log-probabilities and entropies of each response: one unpadded row after the other, by definition."""
    out = []
    for prompt, response in responses(batch):
        logits = module(input_ids=torch.tensor([prompt + response])).logits[0] / LIMITS.temperature
        logp = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
        entropy = -(logp.exp() * logp).sum(-1).detach()
        out.append((logp[torch.arange(len(response)), torch.tensor(response)], entropy))
    return out


def plain_optimizer(settings: Design, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    rate, betas, eps = settings.learning_rate, settings.betas, settings.adam_eps
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=eps)
    return torch.optim.AdamW(parameters, lr=rate, betas=betas, eps=eps, weight_decay=settings.weight_decay)


def plain_loss(
    settings: Design,
    logps: list[torch.Tensor],
    olds: list[torch.Tensor],
    refs: list[torch.Tensor],
    batch: Batch,
    cap: float | None,
    micro_batch: int | None,
) -> torch.Tensor:
    """The loss written out, one token after the other."""
    signals = batch.signals_SQG.reshape(-1).tolist()
    active = [True] * (Q * G) if batch.active_SQG is None else batch.active_SQG.reshape(-1).tolist()
    rows = []
    for n, (logp, old, ref) in enumerate(zip(logps, olds, refs, strict=True)):
        sampler = batch.samples.logprobs_SQGT.reshape(Q * G, T)[n, : len(logp)]
        s, losses = signals[n], []
        for t in range(len(logp)):
            ratio = torch.exp(logp[t] - old[t])
            held = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
            loss = -torch.minimum(ratio * s, held * s)
            if settings.dual_clip is not None and s < 0:
                loss = torch.minimum(loss, torch.tensor(-settings.dual_clip * s, dtype=loss.dtype))
            if cap is not None:
                loss = loss * min(float(torch.exp(old[t] - sampler[t])), cap)
            if settings.kl_placement == "loss":
                d = ref[t] - logp[t]
                kl = {"k1": -d, "k2": d * d / 2, "k3": torch.exp(d) - d - 1}[settings.kl_estimator]
                loss = loss + settings.kl_coef * kl
            losses.append(loss)
        rows.append(torch.stack(losses))
    kept = [row for row, counts in zip(rows, active, strict=True) if counts]
    match settings.aggregation:
        case "token-mean":
            return torch.cat(kept).mean()
        case "sequence-mean":
            return torch.stack([row.mean() for row in kept]).mean()
        case "sequence-sum":
            return torch.stack([row.sum() for row in kept]).mean()
        case "max-length":
            return torch.cat(kept).sum() / (len(kept) * T)
        case "micro-batch-mean":
            assert micro_batch is not None
            parts = [rows[i : i + micro_batch] for i in range(0, len(rows), micro_batch)]
            return torch.stack([torch.cat(part).mean() for part in parts]).mean()


def plain_step(
    module: torch.nn.Module,
    settings: Design,
    batch: Batch,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    initial: torch.nn.Module | None = None,
    cap: float | None = None,
    micro_batch: int | None = None,
) -> dict[str, float]:
    """A round's updates in plain torch, in place; what is recorded of them."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in parameters]
    optimizer = optimizer or plain_optimizer(settings, parameters)
    with torch.no_grad():
        olds = [logp for logp, _ in plain_scores(module, batch)]
        refs = [logp for logp, _ in plain_scores(initial or module, batch)]
    losses, norms, entropies, kls, clipped, tokens = [], [], [], [], 0, 0
    signals = batch.signals_SQG.reshape(-1)
    for _ in range(settings.updates_per_round):
        optimizer.zero_grad()
        scores = plain_scores(module, batch)
        logps = [logp for logp, _ in scores]
        gaps = [ref - logp.detach() for logp, ref in zip(logps, refs, strict=True)]
        entropies.append(sum(float(entropy.sum()) for _, entropy in scores) / (Q * G))
        kls.append(sum(float((d.exp() - d - 1).sum()) for d in gaps) / (Q * G))
        loss = plain_loss(settings, logps, olds, refs, batch, cap, micro_batch)
        loss.backward()
        losses.append(float(loss.detach()))
        for logp, old, s in zip(logps, olds, signals.tolist(), strict=True):
            ratio = torch.exp(logp.detach() - old)
            low = ratio > 1 + settings.clip_high if s > 0 else ratio < 1 - settings.clip_low
            dual = (ratio > (settings.dual_clip or float("inf"))) if s < 0 else torch.zeros_like(low)
            clipped += int((low | dual).sum()) if s else 0
            tokens += len(logp)
        if settings.grad_clip is None:
            norms.append(float(torch.cat([p.grad.flatten() for p in parameters]).norm()))
        else:
            norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, settings.grad_clip)))
        optimizer.step()
    sampler = batch.samples.logprobs_SQGT.reshape(Q * G, T)
    return {
        "loss": losses[0],
        "grad_norm": sum(norms) / len(norms),
        "update_norm": sum(float((p - b).square().sum()) for p, b in zip(parameters, before, strict=True))
        ** 0.5,
        "entropy": entropies[0],
        "kl": kls[0],
        "clip_fraction": clipped / tokens,
        "mismatch": max(float((old - sampler[n, : len(old)]).abs().max()) for n, old in enumerate(olds)),
    }


def same_weights(left: torch.nn.Module, right: torch.nn.Module, tolerance: float) -> None:
    ours, theirs = dict(left.named_parameters()), dict(right.named_parameters())
    assert ours.keys() == theirs.keys()
    for name, parameter in ours.items():
        torch.testing.assert_close(
            parameter, theirs[name], rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
