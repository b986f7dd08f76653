"""Pictures of a report for the README: `python tests/programs/screenshots.py RUNS/report.html docs`."""

import sys
import tempfile
from pathlib import Path

from support.browser import Browser

WIDTH, HEAD, EDGE = 1160, 980, 24
SECTION = "document.getElementById('forest').closest('section').getBoundingClientRect()"


def main(page, folder):
    """Write report.png (the top of the page) and forest.png (the forest plots)."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        browser.open(Path(page).resolve().as_uri(), width=WIDTH)
        browser.screenshot(Path(folder) / "report.png", clip=(0, 0, WIDTH, HEAD))
        top, height = browser.run(f"[{SECTION}.top + scrollY, {SECTION}.height]")
        browser.screenshot(Path(folder) / "forest.png", clip=(0, top, WIDTH, height + EDGE))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
