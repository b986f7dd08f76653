"""Type "improves": training raises Pass@1 above base and above the placebo, world by world (A2, B1)."""

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.gains import lenient, over_base
from analysis.claims.reading import Band
from analysis.claims.worlds import Kind, few_queries, final_train, first_cell, kinds, tested
from analysis.loading.records import Cell, Records
from banditrft.claims import Improves


def find(records: Records, claim: Improves) -> list[Finding]:
    """Judge the claim in every world with a test set."""
    found = []
    for kind in kinds(records):
        worlds = tested(records, kind, single_query=claim.single_query)
        cases = [_case(records, kind, world, claim) for world in worlds]
        found += findings(claim, cases or [absent(kind, "no world with a test set that the claim is about.")])
    return found


def _case(records: Records, kind: Kind, world: str, claim: Improves) -> Case:
    cell = first_cell(records, world, claim.where)
    if cell is None or not cell.has_test or cell.n < 2:
        return Case(kind, world, (), ("no such condition with a test set and two runs.",))
    band = Band(low=claim.margin)
    others = placebos.matched(records, cell, "test")
    parts: list[Component] = []
    missing: tuple[str, ...] = ()
    no_placebo = [] if others else [placebos.needed(cell)]
    if "train" in claim.splits and not cell.has_base_train:
        missing = ("train Pass@1 of the base policy is not recorded.",)
    elif "train" in claim.splits:
        label = f"Gain in train Pass@1, {cell.condition}"
        parts.append(over_base("gain-train", label, cell, final_train(cell), cell.train[:, 0], band, "train"))
        trained = placebos.matched(records, cell, "train")
        parts += placebos.over_each("gain-train", cell, trained, "train", band)
        read = {c.design.reward for c in trained}
        no_placebo += [_unread(c, "train Pass@1") for c in others if c.design.reward not in read]
    label = f"Gain in test Pass@1, {cell.condition}"
    parts.append(over_base("gain-test", label, cell, cell.test, cell.test_base, band, "test"))
    parts += placebos.over_each("gain-test", cell, others, "test", band)
    graded = lenient(cell) if claim.lenient else None
    if graded:
        parts.append(over_base("gain-lenient", f"{label}, lenient grade", cell, *graded, band, "test"))
        known = {c.condition: bool(np.isfinite(c.test_lenient).all()) for c in others}
        read_so = [c for c in others if known[c.condition]]
        parts += placebos.over_each("gain-lenient", cell, read_so, "test", band, lenient=True)
        no_placebo += [_unread(c, "lenient grade") for c in others if not known[c.condition]]
    return Case(
        kind,
        world,
        tuple(parts),
        missing,
        placebo=placebos.gains(records, world),
        notes=few_queries([cell]),
        no_placebo=tuple(no_placebo),
    )


def _unread(placebo: Cell, what: str) -> str:
    return f"'{placebo.condition}' in '{placebo.world.name}' has no {what} to compare with."
