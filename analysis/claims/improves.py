"""Type "improves": training raises Pass@1 above base and above the placebo, world by world (A2, B1)."""

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Component, Found, Type
from analysis.claims.components import lenient, over_base
from analysis.claims.reading import Band
from analysis.claims.worlds import Group, Kind, UntestableError, each_tested, final_train, first_cell
from analysis.loading.records import Cell, Records
from analysis.results import Note, Setting
from banditrft.claims import Improves


def read(records: Records, group: Group, claim: Improves) -> Found:
    """Gains over base and every placebo: on the training queries, the test set, by the lenient grade."""
    cell = first_cell(records, group.world, claim.where)
    if cell is None or not cell.has_test or cell.n < 2:
        raise UntestableError("no tested runs")
    band = Band(low=claim.margin)
    others = placebos.matched(records, cell, "test")
    parts: list[Component] = []
    missing: list[Note] = []
    no_placebo = [] if others else [placebos.needed(cell)]
    if "train" in claim.splits and not cell.has_base_train:
        missing.append(Note("no base"))
    elif "train" in claim.splits:
        parts.append(over_base("gain-train", cell, final_train(cell), cell.train[:, 0], band, "train"))
        trained = placebos.matched(records, cell, "train")
        parts += placebos.over_each("gain-train", cell, trained, "train", band)
        known = {c.design.reward for c in trained}
        no_placebo += [_unread("unread train", c) for c in others if c.design.reward not in known]
    parts.append(over_base("gain-test", cell, cell.test, cell.test_base, band, "test"))
    parts += placebos.over_each("gain-test", cell, others, "test", band)
    graded, by_lenient = lenient(cell) if claim.lenient else None, Setting(grade="lenient")
    if graded:
        parts.append(over_base("gain-lenient", cell, *graded, band, "test", setting=by_lenient))
        read_so = [c for c in others if np.isfinite(c.test_lenient).all()]
        parts += placebos.over_each("gain-lenient", cell, read_so, "test", band, setting=by_lenient)
        no_placebo += [_unread("unread lenient", c) for c in others if c not in read_so]
    placebo = placebos.gains(records, group.world)
    return Found(parts, [cell], missing, placebo, no_placebo=no_placebo)


def _unread(name: str, placebo: Cell) -> Note:
    return Note(name, {"placebo": placebo.condition, "world": placebo.world.name})


def _groups(records: Records, kind: Kind, claim: Improves) -> list[Group]:
    return each_tested(records, kind, single_query=claim.single_query)


TYPES = (Type(Improves, read, _groups, "no test world"),)
