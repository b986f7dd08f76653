"""Known failure signatures in any records: which are there, which are not, and on what evidence."""

from analysis.diagnosis.diagnose import ALPHA, diagnose
from analysis.diagnosis.signatures import SIGNATURES, Found, Sign

__all__ = ["ALPHA", "SIGNATURES", "Found", "Sign", "diagnose"]
