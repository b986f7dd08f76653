"""Learning curves over runs: bands, areas, crossings, aggregates, paths, and where the variance comes from.

Numbers in, frozen dataclasses of plain numbers out. The run, (query, seed), is the unit of replication: it
is resampled whole, within its query, and its evaluations are never taken for replicates.
"""
