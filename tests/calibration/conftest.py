"""The collector of the calibration runs; written to CALIBRATION_OUT when that is set, as `make calibration` does."""

import os
from pathlib import Path

import pytest
from calibration.collector import Calibration


@pytest.fixture(scope="session")
def calibration_results():
    """Where a calibration test leaves its rates: `calibration_results.add(...)`."""
    found = Calibration()
    yield found
    out = os.environ.get("CALIBRATION_OUT")
    if out and found.rates:
        found.write(Path(out))
