"""Closed forms: what a policy that learns from rewards must obey. Sections are those of docs/theory.md.

- :mod:`banditrft.theory.hitting` (§2): exact law of hitting time and Pass@1, one rollout, raw reward, SGD;
- :mod:`banditrft.theory.chain` (§2): mean and spread of the hitting time for groups under SGD;
- :mod:`banditrft.theory.flow` (§2): the exact policy-gradient flow without sampling noise;
- :mod:`banditrft.theory.signals` (§3): drift, noise and wasted groups of a learning signal;
- :mod:`banditrft.theory.adam` (§4): mean-field recursions under SGD and Adam, eps included;
- :mod:`banditrft.theory.negative` (§5): {-1, 0} rewards, when many wrong arms trap a run;
- :mod:`banditrft.theory.generalisation` (§6): the log-linear contextual world's test Pass@1;
- :mod:`banditrft.theory.contextual` (§2, §4, §6): hitting times of its training query;
- :mod:`banditrft.theory.fixed_points` (§7): GRPO with KL, its fixed points, stability and two-cycles;
- :mod:`banditrft.theory.replay` (§8): how far a window of past rewards lags behind the policy;
- :mod:`banditrft.theory.budget` (§8): the best split of a round's rollouts into queries and groups.

Nothing here simulates: every number is a finite sum, a recursion or a quadrature; none is random.
"""
