"""Which code decides which type of claim, and the one way from records to a claim's findings.

A type of claim is a module that lists it in `TYPES`: it selects conditions, measures them and sets the bands.
What it finds is data (`analysis.results`); `analysis.wording` says it.
"""

import pkgutil
from dataclasses import replace
from importlib import import_module

from analysis.claims.cases import Case, Finding, Found, Type, absent, conjunction
from analysis.claims.worlds import Group, Kind, UntestableError, few_queries, kinds, own_queries, present, why
from analysis.loading.records import Records
from analysis.results import Note
from banditrft.claims import Claim
from banditrft.errors import InputError

TYPES: dict[type[Claim], Type] = {
    of.claim: of
    for module in pkgutil.iter_modules(__path__)
    for of in getattr(import_module(f"{__name__}.{module.name}"), "TYPES", ())
}
"""What the modules of this folder list, a reader for each type of claim of the ledgers and of tables."""


def find(records: Records, claim: Claim) -> list[Finding]:
    """A claim's findings, one per world or group of worlds, before Holm; where no world has any, why."""
    of = TYPES[type(claim)]
    found: list[Finding] = []
    for kind in kinds(records):
        if claim.own is not None:
            found += _tabled(records, kind, claim, of)
            continue
        cases = [_case(records, group, claim, of) for group in of.groups(records, kind, claim)]
        if cases:
            found += of.judge(cases)
        elif of.nothing:
            found += of.judge([absent(claim, kind, Note(of.nothing))])
    if not found:
        nowhere = Note("no world")
        if claim.own is not None:
            nowhere = Note("no records", {"worlds": ", ".join(claim.own.worlds)})
        return conjunction([absent(claim, kinds(records)[0], nowhere)])
    return found


def _tabled(records: Records, kind: Kind, claim: Claim, of: Type) -> list[Finding]:
    """A study's own claim in every world that it names; those that cannot show it are left out."""
    named = claim.own.worlds if claim.own else ()
    groups = [Group(kind, w, w, w) for w in present(records, kind) if not named or w in named]
    cases = [_case(records, group, claim, of) for group in groups]
    able = [case for case in cases if case.found.parts] or cases[:1]
    return conjunction(able) if able else []


def _case(records: Records, group: Group, claim: Claim, of: Type) -> Case:
    try:
        found = of.read(records, group, claim)
    except (UntestableError, InputError) as error:
        found = Found((), missing=(why(error),))
    if found.parts:
        limits = (*few_queries(found.cells), *(own_queries(found.cells) if claim.own else ()))
        found = replace(found, notes=(*limits, *found.notes))
    return Case(claim, group.kind, found.name or group.name, found)
