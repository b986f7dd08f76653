"""Claims of paper A: one training query ("multi-armed bandit")."""

from banditrft.claims.conditions import AtLeast, Fields
from banditrft.claims.protocols import (
    Claim,
    Fails,
    HardQuery,
    Improves,
    LessStable,
    MoreRollouts,
    NoTransfer,
    RandomCurves,
    ReachesOne,
)

SOURCE = "arXiv 2601.14599"
GROUP: Fields = (
    ("batch_size", 1),
    ("rollouts", AtLeast(2)),
    ("signal", "raw"),
    ("reward", "zero-one"),
)
"""Several rollouts of one query without an advantage."""

A1 = ReachesOne(
    id="A1",
    statement="One query, one rollout and the raw {0, 1} reward bring train Pass@1 to 1.",
    source=SOURCE,
    numbers="Pass@1 = 1.0 on every model",
    estimand="fraction of runs whose final train Pass@1 is shown to exceed .95 by 512 samples; of the "
    "pairs of a run and its placebo of which one does, the fraction in which it is the run",
    test="Clopper-Pearson, one-sided 95%, per run and over runs; exact sign test against every placebo",
    decision="supported if the first fraction's lower bound exceeds .5 and the second's does for every "
    "placebo; refuted if the first one's upper bound is below .5",
)
A2 = Improves(
    id="A2",
    statement="Training on a single query raises test Pass@1.",
    source=SOURCE,
    numbers="up to +.5",
    estimand="final test Pass@1 minus that of the base policy, and minus that of every placebo, on the "
    "same items, by the strict and by the lenient grade",
    test="one-sided paired t over runs, for both grades",
    decision="supported if every lower bound exceeds two points; refuted if one upper bound is below "
    "them, at its corrected level",
)
A3 = RandomCurves(
    id="A3",
    statement="Training and generalisation curves are random: they differ from seed to seed.",
    source=SOURCE,
    numbers="none",
    estimand="SD over seeds, within a query, over the SD that binomial evaluation alone would give: area "
    "under the training curve, and area under the test curve",
    test="jackknife over seeds of the SD ratio",
    decision="supported if both lower bounds exceed sqrt 2, where the variance between seeds is as large as "
    "the evaluation's; refuted if one upper bound is below it",
)
A4 = LessStable(
    id="A4",
    statement="GRPO's advantage makes training less stable and brings no test gain, on queries of base "
    "Pass@1 above .1.",
    source=SOURCE,
    numbers="none",
    estimand="GRPO against raw, plain under Adam and step-size-matched under SGD: mean fall of train "
    "Pass@1 after its running maximum, picked and measured on different evaluations; ratio of the spreads "
    "of train Pass@1 within queries where the mean is .5; under Adam ratio of the spreads of the area "
    "under the test curve, and difference in final test Pass@1",
    test="one-sided paired t; paired Brown-Forsythe, one-sided, inverted for the ratio (sign permutations "
    "below 10 pairs); TOST with a margin of two points",
    decision="supported if all parts are; refuted if one part is, at its corrected level. Falls say "
    "nothing unless one condition is shown to fall, the test set nothing unless one condition ends above "
    "every placebo",
    where=GROUP,
    plain=(("signal", "grpo"),),
    matched=(("signal", "grpo"), ("match_step_size", True)),
)
A5 = MoreRollouts(
    id="A5",
    statement="Four rollouts instead of one converge in about half the rounds under Adam and hardly faster "
    "under SGD, at no gain in test Pass@1.",
    source=SOURCE,
    numbers="about 200 rounds against 100",
    estimand="ratio of hitting times T(G=1)/T(G=4) of train Pass@1 >= .90 at two consecutive evaluations, "
    "under Adam and under SGD; difference in final test Pass@1",
    test="permutation log-rank on right-censored times, inverted for the ratio; TOST for the test set",
    decision="supported if all three parts are; refuted if one part is, at its corrected level. A ratio "
    "says nothing unless the faster condition (under SGD: one of the two) reaches the threshold before "
    "every placebo by a sign test, the test set nothing unless one condition ends above every placebo",
)
A6 = HardQuery(
    id="A6",
    statement="A very hard query (base Pass@1 below .05) is learned, but test Pass@1 falls below base.",
    source=SOURCE,
    numbers="about 400 rounds",
    estimand="fraction of runs on hard queries that reach train Pass@1 = 1; their final test Pass@1 minus "
    "that of the base policy, and minus that of every placebo; slope of both on the log-odds of the base "
    "Pass@1",
    test="Clopper-Pearson, and a sign test against every placebo; one-sided paired t; one-sided t of "
    "slopes, seed by seed over worlds, or over the means of queries",
    decision="supported if hard queries are learned, and more often than by any placebo, test Pass@1 "
    "falls and the slope is positive, from base and from every placebo; refuted if one part is, at its "
    "corrected level",
)
A7 = Fails(
    id="A7",
    statement="Rewards {-1, 0} instead of {0, 1} make training fail.",
    source=SOURCE,
    numbers="none",
    estimand="fraction of runs that have not reached train Pass@1 >= .90 at two consecutive evaluations "
    "by the papers' horizon (a quarter of the rounds); risk difference to {0, 1}",
    test="exact binomial; Boschloo, with exact bounds of the difference",
    decision="supported if more than half fail and more than under {0, 1}; refuted if one part is, at its "
    "corrected level. The difference says nothing unless {0, 1} gets there before every placebo. Read "
    "beside: the same by four times that horizon too, which tells slow from failed",
)
A8 = NoTransfer(
    id="A8",
    statement="One model learns its query and does not generalise: its test curve is flat.",
    source=SOURCE,
    numbers="flat curve",
    estimand="fraction of runs that reach train Pass@1 = 1; slope of test Pass@1 over the run; how much "
    "larger the slope of the other models is, as it is and over their placebos'",
    test="Clopper-Pearson, and a sign test against every placebo; TOST with a margin of two points over "
    "the run; Welch's t for model x round",
    decision="supported if one model, at the level divided by their number, learns, more often than any "
    "placebo, is flat and falls behind the others; refuted if each model is shown to fail one of them",
)
LEDGER: tuple[Claim, ...] = (A1, A2, A3, A4, A5, A6, A7, A8)
