"""`banditrft power STUDY|RECORDS`: seeds that each claim needs, from records or a simulated pilot."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from banditrft.cli.common import check_study, echo, find_study, print_json
from banditrft.cli.sweep import finished
from banditrft.errors import InputError
from banditrft.study import Study

if TYPE_CHECKING:
    from analysis.loading.records import Records
    from analysis.planning.seeds import ClaimPlan

OTHER_STREAMS = 2**32
"""Added to the root seed of a simulated pilot, which then reveals nothing of the study's own runs."""


@click.command(name="power")
@click.argument("study", metavar="STUDY|RECORDS")
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of records to take as the pilot; without it the simulated worlds are run.",
)
@click.option("--pilot-seeds", type=click.IntRange(min=3), default=8, help="Seeds of a simulated pilot.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes [default: all cores].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(study: str, runs: Path | None, pilot_seeds: int, workers: int | None, as_json: bool) -> int:
    """Say how many seeds each claim of STUDY (a file or a preset) needs for 80% power.

    RECORDS, the folder of a study's records, imported ones too, are the pilot of their own claims.
    """
    from analysis.planning.seeds import plan

    if Path(study).is_dir():
        if runs is not None:
            raise InputError(f"--runs: {study} is itself the folder of records to take as the pilot")
        runs = Path(study)
        records = _own(runs)
        name, worlds = str(records.study["name"]), list(records.worlds.values())
    else:
        resolved = find_study(study)
        if not resolved.in_force:
            raise InputError("claims: a study needs some for power to be about, got none")
        records = _recorded(resolved, runs) if runs else _simulated(resolved, pilot_seeds, workers)
        name, worlds = resolved.name, list(resolved.worlds())
    plans = plan(records, {w.name: w.seeds for w in worlds})
    left = [w.name for w in worlds if not records.of(w.name)]
    if as_json:
        print_json(
            {
                "study": name,
                "pilot": {"records": None if runs is None else str(runs), "seeds": _seeds(records)},
                "without_pilot": left,
                "claims": [_plain(p) for p in plans],
            }
        )
        return 0
    for p in plans:
        echo("\n".join(_lines(p)))
    if not plans:
        echo(f"no figure: no claim of {name} can be tested on the conditions of these records")
    if left:
        echo(f"no pilot, so no figure: {', '.join(left)}")
    return 0


def _own(folder: Path) -> Records:
    """Records with the claims that their study has."""
    import analysis
    from banditrft.claims import in_force

    records = analysis.load(folder)
    if not in_force(records.study):
        raise InputError(
            f"claims: {folder} has none for power to be about; import with --claim ID or --claims FILE, or "
            "give the study's file and --runs"
        )
    return records


def _recorded(study: Study, runs: Path) -> Records:
    """Pilot records, read for the claims that the study has now."""
    import analysis
    from banditrft.catalog import STUDY

    folder = next((f for f in (runs / study.name, runs) if (f / STUDY).exists()), None)
    if folder is None:
        raise InputError(f"--runs: must hold records of '{study.name}', got {runs}")
    return _with_claims(analysis.load(folder), study)


def _simulated(study: Study, seeds: int, workers: int | None) -> Records:
    """The simulated worlds with few seeds and other random streams, read and thrown away."""
    import analysis
    import sims

    cells = tuple(
        replace(c, world=c.world.model_copy(update={"seeds": min(seeds, c.world.seeds)}))
        for c in study.cells
        if c.world.kind == "sim"
    )
    if not cells:
        raise InputError("--runs: needed, since this study has no simulated world to take a pilot from")
    pilot = replace(study, cells=cells, root_seed=(study.root_seed + OTHER_STREAMS) % 2**63)
    check_study(pilot)
    with tempfile.TemporaryDirectory(prefix="banditrft-pilot-") as folder:
        outcome = finished(sims.run, pilot, Path(folder), workers=workers, command="banditrft power")
        if outcome.failed:
            raise InputError("\n".join(f"pilot: {label}: {error}" for label, error in outcome.failed))
        return _with_claims(analysis.load(Path(folder) / study.name), study)


def _with_claims(records: Records, study: Study) -> Records:
    own = [claim.settings for claim in study.own_claims]
    return replace(records, study={**records.study, "claims": list(study.claims), "own_claims": own})


def _seeds(records: Records) -> dict[str, int]:
    return {cell.world.name: len(set(cell.seed.tolist())) for cell in records.cells}


def _plain(found: ClaimPlan) -> dict[str, Any]:
    from analysis.planning.seeds import rounded

    value = asdict(found)
    for part in (value, *value["parts"]):
        part["power"] = rounded(part["power"])
    return value


def _lines(found: ClaimPlan) -> list[str]:
    """One claim for people, a line for each component."""
    head = f"{found.claim}, {found.world}: "
    if found.power is None:
        head += "no figure"
    else:
        said = _said(found.expects, found.power, found.seeds)
        head += f"{said} (at least, with {found.planned} seeds, level {found.level:.2g})"
    lines = [head] if found.impossible is None else [head, f"  {found.impossible}"]
    for part in found.parts:
        if part.power is None:
            lines.append(f"  {part.label}: {part.assumes}")
        else:
            lines.append(
                f"  {part.label}: {_said(part.expects, part.power, part.seeds)}; taking {part.assumes}"
            )
    return lines


def _said(expects: str | None, power: float, seeds: int | None) -> str:
    """What is expected, how surely, and for how many seeds."""
    from analysis.planning.seeds import MOST

    shown = f"{power:.2f}" if power < 0.995 else "over .99"
    return f"{expects} with power {shown}; .80 takes {f'more than {MOST}' if seeds is None else seeds} seeds"
