"""Tests and intervals: numbers in, p-values and bounds out. Nothing here knows of claims or records.

Each file is imported by itself, since some compile kernels:

- `means`: differences of means, equivalence, contrasts; t bounds that hold for skewed values.
- `fractions`: fractions of runs and their difference, exact.
- `times`, `ratio`: times to a threshold, survival curves, and the ratio of two conditions' times.
- `spread`: ratios of spreads, shares of variance, the jackknife.
- `ladder`: slope, maximum and misfit along a ladder of conditions.
- `drawdown`: the fall of a run after its maximum.
- `inversion`: t and sign-change tests of a mean, inverted for a parameter.
- `multiplicity`: Holm, and Benjamini and Hochberg.
- `resampling`: the bootstrap of runs, keyed by the data.
"""
