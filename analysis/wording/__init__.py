"""What verdicts say in English, made from their data and nowhere else; nothing reads it back."""

from analysis.wording.notes import note, summary
from analysis.wording.parts import MISSING, label, part
from analysis.wording.readings import placebo, secondary

__all__ = ["MISSING", "label", "note", "part", "placebo", "secondary", "summary"]
