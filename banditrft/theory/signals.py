"""What a learning signal does to Pass@1 in one update, seen from the class of correct arms (theory §3).

A group of G rollouts with S ~ Binomial(G, p) successes moves the policy along one direction, correct against
wrong, by the multiplier u(S) = [S s1(S) (1-p) - (G-S) s0(S) p] / G, where s1 and s0 are the signals of a
success and of a failure in that group; the raw signal's mean multiplier, its drift, is p(1-p). Label noise,
placebo, baseline rollouts and batches of copies: :mod:`banditrft.theory.groups`. The signals themselves come
from `banditrft.signals`; expectations are finite sums.
"""

from banditrft.design import Design
from banditrft.theory import domain
from banditrft.theory.matching import matched_law
from banditrft.theory.moments import ClassMoments


def class_moments(design: Design, p: float, base: float | None = None) -> ClassMoments:
    """Moments of one round's update of a design at Pass@1 = p (theory §3).

    Args:
        design: Any signal; a two-valued reward, honest, noisy or placebo; a batch is B copies of the query;
            past rewards of a replay window count as fresh.
        p: Pass@1, in (0, 1).
        base: Base Pass@1, for the placebo's rate, step-size matching and a KL penalty; ``p`` by default.

    Raises:
        InputError: ``p`` is outside (0, 1), or the design has no closed form.
    """
    log_odds = domain.log_odds(domain.open_unit("p", p))
    return ClassMoments.at(matched_law(design, p if base is None else base).moments(log_odds))


def ratio_to_raw(design: Design, p: float) -> float:
    """Drift of a design's signal over the raw {0,1} drift p(1-p): its relative step size (theory §3)."""
    return class_moments(design, p).drift / (p * (1.0 - p))
