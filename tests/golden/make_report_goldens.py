"""Writes what four reports say, for tests/golden/test_reports.py: `PYTHONPATH=tests python tests/golden/make_report_goldens.py`.

Read the difference and look at the pages (tests/programs/screenshots.py) before it is committed.
"""

import json
import sys
import tempfile
from pathlib import Path

from support import reports

import analysis

FOLDER = Path(__file__).parent / "reports"


def main(keep=None):
    """Write the four texts; with a folder, leave the records and reports there."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(keep or temporary)
        for name in reports.NAMES:
            page = analysis.report(getattr(reports, name)(root / "runs"), root / name, fits="none")
            document = json.loads(page.with_name("verdicts.json").read_text())
            (FOLDER / f"{name}.txt").write_text(reports.own_words(page, document), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
