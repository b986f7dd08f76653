"""Learning curves over runs, for the report: numbers or cells in, frozen dataclasses of plain numbers out.

The run, (query, seed), is the unit of replication: it is resampled whole, within its query, and its
evaluations are never taken for replicates. Each file answers one question, and is imported by itself:

- `bands`: where is the mean curve, all evaluations together?
- `aggregates`: what does the middle half of the runs do, and how often does one condition beat another?
- `conditions`: the curve of each condition in a few numbers.
- `components`: what do results vary with: worlds, designs, queries, seeds, evaluation?
- `paths`: is test Pass@1 a function of train Pass@1?
"""
