"""What the verdicts do not say, and what they take for granted."""

from pathlib import Path

from analysis.claims.finding import groups
from analysis.claims.worlds import draws_a_world
from analysis.loading.records import Records
from analysis.verdict import Verdict
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld


def limits(records: Records, verdicts: list[Verdict]) -> list[str]:
    """Limits of this study, one sentence or two each."""
    found = []
    models = [w for w in records.worlds.values() if isinstance(w, LLMWorld) and records.of(w.name)]
    tiny = [w for w in models if w.model.startswith("tiny-")]
    for world in tiny:
        found.append(
            f"'{world.model}' is a tiny model pretrained from scratch on '{world.task}': its verdicts "
            "are a tiny "
            "model's, no evidence about a pretrained model of billions of parameters. Part of what "
            "such a model "
            f"learns from one query is the answer's format."
        )
    for logs in records.worlds.values():
        if isinstance(logs, ImportedWorld) and records.of(logs.name):
            found += [f"'{logs.name}': {sentence}" for sentence in logs.missing]
            found.append(
                f"'{logs.name}' is imported: its claims are post hoc, its runs are paired by the order in "
                "which they were given, and conditions are compared as if what is unknown were the same. "
                f"Unknown are {', '.join(logs.unknown) or 'no settings'}."
            )
    if any(w.train_items is None for w in models):
        found.append(
            "Statements are for these queries: seeds are replicates, queries were chosen by base "
            "Pass@1 and are few."
        )
    for drawn in records.worlds.values():
        if isinstance(drawn, ContextualWorld) and not draws_a_world(drawn) and records.of(drawn.name):
            shared = f"draw {drawn.draw}" if drawn.features is None else f"'{Path(drawn.features).name}'"
            found.append(
                f"All seeds of '{drawn.name}' share the contexts of {shared}: its intervals are over seeds, "
                "given those contexts."
            )
    steps = sorted({p.counts["step"] for v in verdicts for p in v.parts if p.kind == "ratio"})
    if steps:
        found.append(
            "Hitting times are known to within one evaluation step "
            f"({', '.join(f'{s:g}' for s in steps)} rounds); the "
            "ratio places them at random inside the step, and the same ratio with times rounded up "
            "stands among "
            "the sensitivities."
        )
    if steps:
        found.append(
            "The ratio takes one factor to stretch the whole distribution of times. Where the "
            "conditions also differ "
            "in spread it is an average that leans towards late runs: read the ratio of medians beside it."
        )
    if verdicts:
        found.append(
            "Evaluations are sampled: a run near the threshold may cross it late by chance, which is why "
            "two consecutive "
            "evaluations are asked for and why .95 and .99 are sensitivities only."
        )
    if any(g.kind == "sim" and g.train and g.test for g in groups(records)):
        found.append(
            "The simulated world is two worlds: hitting times and A1 read the lumped bandit, which "
            "has no test set; "
            "the test set belongs to the contextual policy."
        )
    return found
