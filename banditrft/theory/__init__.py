"""Closed forms: what a policy that learns from rewards must obey. Sections are those of docs/theory.md.

- :mod:`banditrft.theory.hitting` (§2): exact law of hitting time and Pass@1, one rollout, raw reward, SGD;
- :mod:`banditrft.theory.chain` (§2): moments and quantiles of the hitting time for groups under SGD;
- :mod:`banditrft.theory.flow` (§2): the exact policy-gradient flow without sampling noise;
- :mod:`banditrft.theory.laws` (§3): the law of a round under a learning signal, on
  :mod:`banditrft.theory.groups` and :mod:`banditrft.theory.batches`;
- :mod:`banditrft.theory.matching` (§3): drift and noise of a signal, steps matched to the raw reward's drift;
- :mod:`banditrft.theory.adam` (§4): mean-field recursions under SGD and Adam, eps included, on
  :mod:`banditrft.theory.coordinates`;
- :mod:`banditrft.theory.spread` (§4): the wait for a first lesson and the spread over seeds;
- :mod:`banditrft.theory.negative` (§5): {-1, 0} rewards, when many wrong arms trap a run;
- :mod:`banditrft.theory.generalisation` (§6): the log-linear contextual world's test Pass@1;
- :mod:`banditrft.theory.contextual` (§2, §4, §6): hitting times of its training query;
- :mod:`banditrft.theory.fixed_points` (§7): GRPO with KL, its fixed points, stability and two-cycles;
- :mod:`banditrft.theory.replay` (§8): how far a window of past rewards lags behind the policy;
- :mod:`banditrft.theory.pool` (§8): a pool of training queries and its test set;
- :mod:`banditrft.theory.budget` (§8): the best split of a round's rollouts into queries and groups.

What a prediction is made of: :mod:`banditrft.theory.cases`, :mod:`banditrft.theory.estimates`,
:mod:`banditrft.theory.prediction`, :mod:`banditrft.theory.what_if`, :mod:`banditrft.theory.cautions`.

Nothing here simulates: every number is a finite sum, a recursion or a quadrature. None is random; the
pool's contexts come from fixed numbers.
"""
