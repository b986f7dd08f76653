"""What is read from the records apart from the claims: summaries, paths, variances, fits, signatures."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from analysis.curves.components import Decomposition, components
from analysis.curves.conditions import Summary, summaries
from analysis.curves.paths import PathComparison, PathTest, path_independence
from analysis.diagnosis import Sign, diagnose
from analysis.fits.bandit import BanditFit, fit_records
from analysis.fits.unseen import TransferTest, transfer_test
from analysis.loading.records import Records
from analysis.reporting.content.fits import fitted, predicted, profiles
from banditrft.errors import InputError
from banditrft.worlds import ImportedWorld, LLMWorld

Fits = Literal["models", "all", "none"]
"""Worlds that the bandit is fitted to: language models, all, none."""


@dataclass(frozen=True)
class Further:
    """Results of the other rooms.

    Attributes:
        summaries: Area, crossing, robust final value and improvement, one per condition and world.
        paths: Test against train Pass@1, one per world that has both.
        components: Variances taken apart.
        fits: The bandit fitted, one per world.
        profiles: Profile likelihoods of its steps, by world.
        transfer: What the minimal conditions' fits predict of the others, one per world.
        signs: Failure signatures tested.
        absent: Why something is not there, one sentence each.
    """

    summaries: tuple[Summary, ...]
    paths: tuple[PathTest, ...]
    components: tuple[Decomposition, ...]
    fits: tuple[BanditFit, ...]
    profiles: dict[str, list[dict[str, Any]]]
    transfer: tuple[TransferTest, ...]
    signs: tuple[Sign, ...]
    absent: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The same as JSON values; the points of the paths stand in their figures' data."""
        return {
            "summaries": [asdict(s) for s in self.summaries],
            "paths": [
                {k: v for k, v in asdict(p).items() if k != "points"}
                | {"evaluations": len(set(p.points[0].round))}
                | {"comparisons": [asdict(c) | {"said": said(c)} for c in p.comparisons]}
                for p in self.paths
            ],
            "components": [asdict(c) for c in self.components],
            "fits": [fitted(f) | {"profiles": self.profiles[f.world]} for f in self.fits],
            "transfer": [predicted(t) for t in self.transfer],
            "diagnosis": [asdict(s) for s in self.signs],
            "absent": list(self.absent),
        }


def said(comparison: PathComparison) -> str:
    """What was found of two paths in words that hold where both answers are shown."""
    low, high = comparison.interval
    apart = (low is not None and low > 0) or (high is not None and high < 0)
    same = comparison.found == "same path"
    return "within the margin, yet not equal" if same and apart else comparison.found


def further(records: Records, fits: Fits = "models") -> Further:
    """Everything apart from the claims that these records can give.

    Args:
        records: Records of a study.
        fits: Worlds that the bandit is fitted to, which takes seconds per condition.
    """
    absent: list[str] = []
    tests = [path_independence(records, name) for name in records.worlds if records.of(name)]
    absent += [f"Paths: {t.sentence}" for t in tests if not t.points]
    apart = components(records)
    if not apart:
        absent.append("Sources of variance: no condition has enough seeds of a query to take them apart.")
    known: list[BanditFit] = []
    unseen: list[TransferTest] = []
    for name, world in records.worlds.items():
        if not records.of(name) or fits == "none":
            continue
        if fits == "models" and not isinstance(world, LLMWorld):
            why = "imported" if isinstance(world, ImportedWorld) else "simulated and its gain known"
            absent.append(f"Fit: '{name}' is {why}; it is fitted on request (--fits all).")
            continue
        try:
            known.append(fit_records(records, name))
            unseen.append(transfer_test(records, name, known=known[-1]))
        except InputError as error:
            absent.append(f"Fit: {error}.")
    return Further(
        summaries=tuple(s for name in records.worlds if records.of(name) for s in summaries(records, name)),
        paths=tuple(t for t in tests if t.points),
        components=apart,
        fits=tuple(known),
        profiles={f.world: profiles(records, f) for f in known},
        transfer=tuple(unseen),
        signs=tuple(diagnose(records)),
        absent=tuple(absent),
    )
