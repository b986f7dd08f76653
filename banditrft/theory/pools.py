"""Training queries of the contextual world from fixed numbers, for its mean field (theory §8)."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.moments import Floats
from banditrft.worlds import ContextualWorld

QUERIES, FEWEST, MOST = 256, 2, 64
"""Queries that all pools hold together, about, and bounds on the number of pools."""
MAX_CELLS = 2_000_000
"""Most queries x dimensions of all pools together."""


@dataclass(frozen=True)
class Pools:
    """Contexts of P pools, each with directions of its own.

    Attributes:
        u_PND: Contexts.
        offset_PN: Log-odds that no weight changes.
        w0_PD: Base weights.
        mean_PD: mu.
    """

    u_PND: Floats
    offset_PN: Floats
    w0_PD: Floats
    mean_PD: Floats

    @classmethod
    def of(cls, world: ContextualWorld) -> "Pools":
        """Draw from fixed numbers, given the base log-odds that the world asks for.

        Raises:
            InputError: The pools are too large, or come from a file.
        """
        if world.features is not None:
            raise InputError(f"features: the closed forms draw contexts of their own, got {world.features!r}")
        if world.draw is not None:
            raise InputError(f"draw: the closed forms average over draws, got {world.draw}")
        N, d = world.train_items, world.dimension
        P = min(max(QUERIES // N, FEWEST), MOST)
        if P * N * d > MAX_CELLS:
            raise InputError(
                f"train_items: times dimension must be at most {MAX_CELLS // FEWEST} here, got {N} x {d}"
            )
        rng = np.random.Generator(np.random.Philox(key=20_260))
        frame_PD2 = np.linalg.qr(rng.standard_normal((P, d, 2)))[0]
        mean_PD = world.transfer * frame_PD2[..., 0]
        w0_PD = world.alignment * mean_PD + world.misalignment * frame_PD2[..., 1]
        u_PND = mean_PD[:, None, :] + world.noise * rng.standard_normal((P, N, d))
        offset_PN = world.offset_spread * rng.standard_normal((P, N))
        start_PN = np.einsum("pnd,pd->pn", u_PND, w0_PD) + offset_PN
        norm_sq = (world.alignment * world.transfer) ** 2 + world.misalignment**2
        spread_sq = world.noise**2 * norm_sq + world.offset_spread**2
        centre, sd = world.alignment * world.transfer**2, math.sqrt(spread_sq)
        # all queries together take every quantile of the base's law once, in the order in which they came
        place_PN = np.argsort(np.argsort(start_PN, axis=None)).reshape(start_PN.shape)
        wanted_PN = _base(world, centre, sd, (place_PN + 0.5) / start_PN.size)
        missing_PN = (wanted_PN - start_PN) / spread_sq if spread_sq > 0 else np.zeros_like(start_PN)
        return cls(
            u_PND + world.noise**2 * missing_PN[..., None] * w0_PD[:, None, :],
            offset_PN + world.offset_spread**2 * missing_PN,
            w0_PD,
            mean_PD,
        )


def _base(world: ContextualWorld, centre: float, sd: float, rank_PN: Floats) -> Floats:
    """Base log-odds of each query by its rank: a normal law, that law truncated to a range, or one value."""
    base = world.base_pass_at_1
    if isinstance(base, float):
        return np.full_like(rank_PN, domain.log_odds(base))
    if isinstance(base, str):
        return np.asarray(centre + sd * ndtri(rank_PN))
    ends = [-math.inf if p == 0 else math.inf if p == 1 else domain.log_odds(p) for p in base]
    low, high = ((end - centre) / sd for end in ends)
    # in the upper tail through its mirror image, where small probabilities keep their digits
    mirror = -1.0 if low > 0 else 1.0
    edges = sorted((ndtr(mirror * low), ndtr(mirror * high)))
    share_PN = rank_PN if mirror > 0 else 1.0 - rank_PN
    found_PN = centre + sd * mirror * ndtri(edges[0] + share_PN * (edges[1] - edges[0]))
    if not np.isfinite(found_PN).all():
        raise InputError(f"base_pass_at_1: next to no query of this world lies in {list(base)}")
    return np.asarray(found_PN)
