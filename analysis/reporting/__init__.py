"""The report: one offline page, and verdicts.json and summary.md with the same numbers.

`document` gathers plain data, the figures are inline SVG, `page` renders the template from that very
data. No script, no request, no date of rendering: the same records give the same bytes.
"""

from pathlib import Path

from analysis.judging import verdicts
from analysis.loading import Records, load
from analysis.reporting.document import document
from analysis.reporting.page import render
from analysis.reporting.summary import summary
from banditrft.files import write_bytes, write_json

REPORT, VERDICTS, SUMMARY = "report.html", "verdicts.json", "summary.md"


def report(records: Records | Path | str, out: Path | str) -> Path:
    """Write report.html, verdicts.json and summary.md into a folder.

    Args:
        records: Records of a study, or their folder.
        out: Folder to write into; made if missing.

    Returns:
        The page.

    Raises:
        RecordError: The records cannot be trusted; nothing is written.
    """
    read = records if isinstance(records, Records) else load(records)
    found = verdicts(read)
    content = document(read, found)
    page = render(read, content)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / VERDICTS, content)
    write_bytes(folder / SUMMARY, summary(content).encode())
    write_bytes(folder / REPORT, page.encode())
    return folder / REPORT
