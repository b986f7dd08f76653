"""The report: one offline page, verdicts.json and summary.md with the same numbers, figures as files.

`content.document` gathers plain data, `figures.collect` draws from it, `page` and `summary` render that very
data. No request, no date of rendering: the same records give the same bytes.
"""

from pathlib import Path

from analysis.judging import verdicts
from analysis.loading.records import Records, load
from analysis.reporting.content.document import document
from analysis.reporting.content.further import Fits, further
from analysis.reporting.figures.collect import collect, save_figures
from analysis.reporting.page import render
from analysis.reporting.summary import summary
from banditrft.files import write_bytes, write_json
from banditrft.names import visible
from banditrft.parts import sweep_parts

REPORT, VERDICTS, SUMMARY = "report.html", "verdicts.json", "summary.md"


def report(records: Records | Path | str, out: Path | str, fits: Fits = "models") -> Path:
    """Write report.html, verdicts.json, summary.md and the folder figures into a folder.

    Args:
        records: Records of a study, or their folder.
        out: Folder to write into; made if missing.
        fits: Worlds that the bandit is fitted to: "models" (language models), "all" or "none".

    Returns:
        The page.

    Raises:
        RecordError: The records cannot be trusted; nothing is written.
    """
    read = records if isinstance(records, Records) else load(records)
    also = further(read, fits)
    content = document(read, verdicts(read), also)
    figures = collect(read, content, also)
    content["figures"] = [
        {"number": f.number, "section": f.section, "caption": f.figure.caption, "file": f.stem}
        for f in figures
    ]
    page = visible(render(content, figures))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    sweep_parts(folder)
    save_figures(folder, figures)
    write_json(folder / VERDICTS, content)
    write_bytes(folder / SUMMARY, visible(summary(content)).encode())
    write_bytes(folder / REPORT, page.encode())
    return folder / REPORT
