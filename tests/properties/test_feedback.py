"""Populations of statistics over many rounds, queries and replicates, against plain lists."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from banditrft.design import Design
from banditrft.feedback import Feedback
from banditrft.signals import signal


@settings(max_examples=60)
@given(
    name=st.sampled_from(["raw", "centered", "grpo", "rloo"]),
    B=st.integers(1, 4),
    G=st.integers(1, 3),
    M=st.integers(0, 2),
    window=st.integers(0, 12),
    N=st.integers(1, 3),
    factor=st.sampled_from([1.0, 1.7]),
    seed=st.integers(0, 10**6),
)
def test_the_newest_rewards_of_the_query_are_its_population(
    name: str, B: int, G: int, M: int, window: int, N: int, factor: float, seed: int
) -> None:
    """Fresh, then baseline rewards, then past ones of the query until there are as many as the window asks."""
    if max(G + M, window) == 1 or window + M + G < 2:
        name = "raw"
    design = Design(
        batch_size=B, rollouts=G, baseline_rollouts=M, replay_window=window, signal=name, learning_rate=1.0,
        rounds=1,
    )  # type: ignore[arg-type] # fmt: skip
    rng, R = np.random.default_rng(seed), 2
    feedback = Feedback(design, R, items=N, factor=factor)
    past: dict[tuple[int, int], list[float]] = {(r, n): [] for r in range(R) for n in range(N)}
    for _ in range(5):
        items = rng.integers(0, N, (R, B))
        fresh = rng.choice([0.0, 0.5, 1.0], (R, B, G))
        baseline = rng.choice([0.0, 0.5, 1.0], (R, B, M))
        ours = feedback.signals(fresh, baseline if M else None, items)
        for r in range(R):
            before = {n: list(past[r, n]) for n in range(N)}
            for b in range(B):
                n = int(items[r, b])
                room = max(0, window - G - M)
                others = [*baseline[r, b], *(before[n][-room:] if room else [])]
                arrays = [np.array([others])] if others or room else []
                expected = signal(design, fresh[r, b][None], *arrays)[0] * factor
                np.testing.assert_allclose(ours[r, b], expected, atol=1e-9)
                past[r, n] += [*fresh[r, b], *baseline[r, b]]
