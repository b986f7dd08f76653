"""The rule by which training queries are chosen from candidates with known base counts.

Items whose observed base Pass@1 lies in the asked-for range are eligible. The range is cut into `count` equal
parts on the log-odds scale; for the middle of each part, from the lowest up, the eligible item with the
nearest observed log-odds that is not yet taken is chosen (ties: the lower item index).
"""

import math

from banditrft.errors import InputError


def log_odds(correct: float, samples: int) -> float:
    """Log-odds of a count, with half a success and half a failure added."""
    return math.log((correct + 0.5) / (samples - correct + 0.5))


def choose(
    correct: list[int],
    samples: int,
    count: int,
    low: float,
    high: float,
    advice: str = "widen base_pass_at_1 or enlarge pool",
) -> list[int]:
    """Positions of the chosen candidates, by rising target.

    Args:
        correct: Right answers of each candidate among `samples`.
        samples: Base samples per candidate.
        count: How many to choose.
        low: Lowest base Pass@1 that is eligible.
        high: Highest.
        advice: What an error says to do.

    Raises:
        InputError: fewer than `count` candidates are eligible.
    """
    free = [i for i, c in enumerate(correct) if low <= c / samples <= high]
    if len(free) < count:
        raise InputError(
            f"queries: {count} with base Pass@1 in [{low}, {high}] were asked for, but only {len(free)} of "
            f"the {len(correct)} candidates lie there; {advice}"
        )
    bottom, top = log_odds(low * samples, samples), log_odds(high * samples, samples)
    chosen: list[int] = []
    for part in range(count):
        target = bottom + (part + 0.5) / count * (top - bottom)
        best = min(free, key=lambda i: (abs(log_odds(correct[i], samples) - target), i))
        free.remove(best)
        chosen.append(best)
    return chosen
