"""The analysis room: reads records of either world and the closed forms, tests claims, renders the report.

It never runs anything. Exports are lazy: importing `analysis` loads neither statistics nor plotting.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from analysis.fits.bandit import fit
    from analysis.judging import verdicts
    from analysis.loading.records import Records, load
    from analysis.loading.scan import scan
    from analysis.reporting import report
    from analysis.verdict import Verdict

_HOMES = {
    "Records": "analysis.loading.records",
    "Verdict": "analysis.verdict",
    "fit": "analysis.fits.bandit",
    "load": "analysis.loading.records",
    "report": "analysis.reporting",
    "scan": "analysis.loading.scan",
    "verdicts": "analysis.judging",
}
__all__ = ["Records", "Verdict", "fit", "load", "report", "scan", "verdicts"]
__getattr__, __dir__ = lazy(__name__, _HOMES)
