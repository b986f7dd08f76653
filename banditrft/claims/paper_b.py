"""Claims of paper B: batches of queries ("batched contextual bandit")."""

from banditrft.claims.conditions import AtLeast, Fields
from banditrft.claims.protocols import Claim, Improves, NoGain, Optimum, Trend, VarianceShare

SOURCE = "arXiv 2601.22532"
PLAIN: Fields = (("reward", "zero-one"), ("optimizer", ("adam", "adamw")))
BASELINE: Fields = (("batch_size", 32), ("rollouts", 1), ("signal", "raw"), *PLAIN)
"""32 queries, one rollout each, the raw {0, 1} reward."""

B1 = Improves(
    id="B1",
    statement="Batches of 32 queries with one rollout and the raw reward improve train and test Pass@1 on "
    "all model-dataset pairs.",
    source=SOURCE,
    numbers="OLMo-GSM8K +.60; OLMo-MATH +.00, which contradicts 'all'",
    estimand="final Pass@1 minus that of the base policy, and minus that of every placebo, of the "
    "training pool and of the test set",
    test="one-sided paired t over seeds, pair by pair, Holm over the verdicts",
    decision="a pair is supported if every lower bound exceeds two points and refuted if one upper bound is "
    "below them; all pairs are supported if each is, refuted if one is at its corrected level",
    where=BASELINE,
    single_query=False,
    splits=("train", "test"),
    lenient=False,
)
B2 = NoGain(
    id="B2",
    statement="The GRPO advantage adds little to test Pass@1.",
    source=SOURCE,
    numbers="0.00 to 0.10",
    estimand="final test Pass@1 with GRPO's advantage (7 extra rollouts for mean and standard deviation) "
    "minus that with the raw reward",
    test="paired TOST with a margin of ten points, the upper end of what the paper calls little; two "
    "points beside",
    decision="supported if the difference lies inside the margin, refuted if it is a gain beyond it; "
    "neither, unless one condition ends above every placebo",
    where=BASELINE,
    changed=(("signal", "grpo"), ("baseline_rollouts", AtLeast(1))),
    margin_points=0.10,
    stricter=0.02,
)
B3 = Trend(
    id="B3",
    statement="More rollouts per query at batch 32 add little.",
    source=SOURCE,
    numbers="G = 1, 8, 16, 32, 64; below +.02 per 8x counts as little",
    estimand="slope of final test Pass@1 in log2 G",
    test="least-squares slope per seed, TOST over seeds with the paper's margin of two points per three "
    "doublings",
    decision="supported if the slope lies inside the margin, refuted if it is a gain beyond it; neither, "
    "unless one condition ends above every placebo",
    where=(("batch_size", 32), ("signal", "raw"), *PLAIN),
    field="rollouts",
)
B4 = Optimum(
    id="B4",
    statement="At 256 rollouts a round the best split is interior, near 32 queries with 8 rollouts.",
    source=SOURCE,
    numbers="(256, 1) to (32, 8): .40 to .56, .54 to .64, .66 to .71",
    estimand="batch size that maximises a quadratic in log2 B of final test Pass@1; differences between "
    "(32, 8) and both ends",
    test="Fieller's interval for the maximum over seeds; planned one-sided paired contrasts",
    decision="supported if the interval lies within a factor 2 of 32 and (32, 8) beats both ends; refuted if "
    "one part is, at its corrected level; neither, unless (32, 8) ends above every placebo",
    where=(*PLAIN, ("signal", ("raw", "grpo"))),
)
B5 = NoGain(
    id="B5",
    statement="Replayed rewards match fresh rollouts: (32, 1, 7) is comparable to (32, 8, 0).",
    source=SOURCE,
    numbers="comparable on all pairs; adopt replay within .02",
    estimand="final test Pass@1 of one fresh rollout with a window of 8 rewards minus that of 8 fresh ones",
    test="paired TOST with the paper's margin of two points",
    decision="supported if the difference lies inside the margin, refuted if it lies beyond on either "
    "side; neither, unless one condition ends above every placebo",
    where=(
        ("batch_size", 32),
        ("rollouts", AtLeast(2)),
        ("signal", "grpo"),
        ("replay_window", 0),
        *PLAIN,
    ),
    changed=(("rollouts", 1), ("replay_window", AtLeast(2))),
    two_sided=True,
    keep_group=True,
)
B6 = Trend(
    id="B6",
    statement="Batches beyond 256 queries, up to 2048, add little.",
    source=SOURCE,
    numbers="+.01 to +.05 from 256 to 2048",
    estimand="slope of final test Pass@1 in log2 B, B from 256 on",
    test="least-squares slope per seed, TOST over seeds with a margin of five points per three doublings, "
    "the upper end of what the paper calls little; two points beside",
    decision="supported if the slope lies inside the margin, refuted if it is a gain beyond it; neither, "
    "unless one condition ends above every placebo",
    where=(("batch_size", AtLeast(256)), *PLAIN),
    field="batch_size",
    margin=0.05 / 3,
    stricter=0.02 / 3,
)
B7 = VarianceShare(
    id="B7",
    statement="The model-dataset pair matters more than any choice of design.",
    source=SOURCE,
    numbers="+.60 against .00",
    estimand="variance of the pairs' mean test gains over its sum with the variance of the designs' mean "
    "test gains",
    test="jackknife over seeds of the logarithm of the ratio of the two variances",
    decision="supported if the share's lower bound exceeds one half, refuted if its upper bound is below "
    "it; neither, unless a condition ends above every placebo in one pair",
)
LEDGER: tuple[Claim, ...] = (B1, B2, B3, B4, B5, B6, B7)
