"""Whether the conditions of a study let a claim be tested at all, said before anything is spent."""

from collections.abc import Mapping

from banditrft.claims.conditions import AtLeast, Fields, conditions, contrasts, ladders
from banditrft.claims.protocols import (
    Claim,
    Fails,
    HardQuery,
    Improves,
    LessStable,
    NoGain,
    NoTransfer,
    Optimum,
    RandomCurves,
    Trend,
    VarianceShare,
)
from banditrft.design import Design


def lacking(claim: Claim, designs: Mapping[str, Design]) -> str | None:
    """What a claim does not find among the conditions of one world; None where it lacks nothing.

    Args:
        claim: A protocol; A1 and A5 have warnings of their own and are passed over.
        designs: Condition name -> design, as resolved in one world.
    """
    if claim.own is not None:  # its table was checked against the conditions when the study was read
        return None
    if isinstance(claim, Improves | RandomCurves | HardQuery | NoTransfer):
        return None if conditions(designs, claim.where) else f"no condition with {describe(claim.where)}"
    if isinstance(claim, LessStable):
        pairs = [
            contrasts(designs, (*claim.where, ("optimizer", optimizer)), changed)
            for optimizer, changed in (("adam", claim.plain), ("sgd", claim.matched))
        ]
        return None if all(pairs) else "not both pairs, plain under adam and step-size-matched under sgd"
    if isinstance(claim, Fails | NoGain):
        found = contrasts(designs, claim.where, claim.changed)
        return None if found else f"no pair that differs only in {describe(claim.changed)}"
    if isinstance(claim, Trend):
        families = ladders(designs, claim.where, {claim.field}, lambda d: float(getattr(d, claim.field)))
        enough = bool(families) and len(families[0]) >= claim.fewest
        return None if enough else f"no {claim.fewest} conditions that differ only in {claim.field}"
    if isinstance(claim, Optimum):
        spending = [
            n
            for n in conditions(designs, claim.where)
            if designs[n].batch_size * designs[n].rollouts == claim.budget
        ]
        return (
            None if len(spending) >= claim.fewest else f"no {claim.fewest} splits of {claim.budget} rollouts"
        )
    if isinstance(claim, VarianceShare):
        return None if len(conditions(designs, claim.where)) > 1 else "no two conditions"
    return None


def describe(fields: Fields) -> str:
    """Design fields and their values in words."""
    return ", ".join(f"{field} {_value(wanted)}" for field, wanted in fields)


def _value(wanted: object) -> str:
    if isinstance(wanted, AtLeast):
        return f">= {wanted.least}"
    return f"in {list(wanted)}" if isinstance(wanted, tuple) else f"= {wanted!r}"
