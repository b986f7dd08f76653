"""Known failure signatures in any records: which are there, which are not, and on what evidence."""

from analysis.diagnosis.diagnose import ALPHA, diagnose
from analysis.diagnosis.look import Found, Sign
from analysis.diagnosis.signatures import SIGNATURES

__all__ = ["ALPHA", "SIGNATURES", "Found", "Sign", "diagnose"]
