"""The log-linear contextual world: a pool of queries, a held-out set, one policy for all (theory §6, §8)."""
