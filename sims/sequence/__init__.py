"""The bandit whose arms are responses of T tokens."""

from sims.sequence.simulator import SequencePaths, check, execute, simulate

__all__ = ["SequencePaths", "check", "execute", "simulate"]
