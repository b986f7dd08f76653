"""A seed of the contextual world is a replicate: intervals over seeds hold the draw of the world (theory §6)."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from banditrft.design import Design
from banditrft.worlds import ContextualWorld
from sims.contextual.contexts import stage
from sims.contextual.simulator import simulate

ROOTS, SEEDS = 60, 12
WORLD = ContextualWorld(seeds=SEEDS, dimension=6, test_items=15, train_items=3, base_pass_at_1=(0.1, 0.6))


def pass_at_1(root, optimizer, **fields):
    """Exact test Pass@1 of each seed at the base and after training, (SEEDS, 2)."""
    scene = stage(WORLD, root).scene(np.arange(SEEDS))
    design = Design(rounds=60, rollouts=4, optimizer=optimizer, **fields)
    w_RFD = simulate(
        scene.w0_PD, scene.pool, design, root_seed=root, seeds=np.arange(SEEDS), keep_rounds=[0, 60]
    ).w_RFD
    odds = np.einsum("rfd,rnd->rfn", w_RFD, scene.test.u_PND) + scene.test.offset_PN[:, None]
    return expit(odds).mean(axis=2)


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.2), ("adam", 0.05)])
def test_root_seeds_differ_by_what_seeds_say(optimizer, rate):
    """Means over the seeds of a root seed vary as the spread within says: base, end and gain alike."""
    p_ORF = np.stack([pass_at_1(root, optimizer, learning_rate=rate) for root in range(ROOTS)])
    for values in (p_ORF[..., 0], p_ORF[..., 1], p_ORF[..., 1] - p_ORF[..., 0]):
        assert values.std() > 0.02
        p = stats.f_oneway(*values).pvalue
        assert 1e-3 < p < 1 - 1e-3
