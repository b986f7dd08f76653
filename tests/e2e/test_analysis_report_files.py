"""What the report writes beside its page: JSON, Markdown and figures say the same, and names stay text in all."""

import csv
import json
import re
import xml.etree.ElementTree as ET

import pytest
from support import analysis as fixtures
from support import analysis_page

import analysis
from analysis.reporting.figures.svg import csv_text, text
from analysis.reporting.summary import code, escaped

pytestmark = pytest.mark.slow(6)

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>|`x`[y](z)"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    study = fixtures.TEXT.replace('name = "placebo"', f'name = "{HOSTILE}"')
    root = fixtures.write(folder / "study", fixtures.study(sim_seeds=12, llm_seeds=3, text=study))
    page = analysis.report(root, folder / "out", fits="none")
    return page, json.loads(page.with_name("verdicts.json").read_text())


def test_every_figure_is_linked_listed_and_written(written):
    page, document = written
    stems = [f["file"] for f in document["figures"]]
    files = {f"figures/{stem}.{ending}" for stem in stems for ending in ("svg", "csv")}
    assert len(stems) == len(set(stems)) > 20
    assert set(analysis_page.parse(page).files) == files
    assert {f"figures/{f.name}" for f in page.parent.glob("figures/*")} == files


def test_a_figure_stands_alone_in_light_and_dark(written):
    page, _ = written
    for path in page.parent.glob("figures/*.svg"):
        root = ET.parse(path).getroot()
        assert root.tag == f"{SVG}svg"
        assert float(root.get("width")) > 0
        style = root.find(f"{SVG}style").text
        assert "prefers-color-scheme: dark" in style
        assert "var(" not in style
        assert root.find(f"{SVG}title").text
        assert not any(e.tag in (f"{SVG}script", f"{SVG}image") for e in root.iter())


def test_a_curve_s_data_are_the_band_of_the_json(written):
    page, document = written
    band = next(b for b in document["bands"] if b["world"] == "lumped" and b["condition"] == "G=4")
    figure = next(f for f in document["figures"] if f["caption"] == "Train Pass@1 of G=4 in lumped")
    with (page.parent / "figures" / f"{figure['file']}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["round"]) for r in rows] == band["rounds"]
    assert [float(r["mean"]) for r in rows] == band["mean"]
    assert [float(r["low"]) for r in rows] == band["low"]
    runs = [name for name in rows[0] if name.startswith("query_")]
    assert len(runs) == band["n"] == 12
    for row in rows:
        assert float(row["mean"]) == pytest.approx(sum(float(row[name]) for name in runs) / len(runs))


def test_the_summary_holds_every_verdict_and_interval(written):
    page, document = written
    summary = page.with_name("summary.md").read_text()
    for verdict in document["verdicts"]:
        assert f"| {verdict['claim']} | {verdict['world']} | **{verdict['verdict']}** |" in summary
    for band in document["bands"]:
        assert f"| {band['n']} | {band['mean'][0]:.3f} | {band['mean'][-1]:.3f} |" in summary
    for line in (*document["assumptions"], *document["limits"]):
        assert escaped(line) in summary


def test_names_are_text_in_page_summary_and_figures(written):
    page, _ = written
    html = page.read_text()
    assert html.count("<script>") == 1
    assert "alert(1)&lt;/script&gt;" in html
    summary = page.with_name("summary.md").read_text()
    assert "<script" not in summary
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\|\\`x\\`\\[y\\](z)" in summary
    columns = {
        len(re.split(r"(?<!\\)\|", line)) for line in summary.splitlines() if line.startswith("| lumped ")
    }
    assert columns == {9, 10}


def test_a_spreadsheet_executes_no_name():
    rows = [(name, 1.0) for name in ("=1+1", "+1", "-1", "@x", "\t=1", "safe")]
    found = list(csv.reader(csv_text(("name", "value"), rows).splitlines()))
    assert [row[0] for row in found[1:]] == ["'=1+1", "'+1", "'-1", "'@x", "'\t=1", "safe"]
    assert csv_text(("value",), [(-1.5,), (None,), (True,)]) == 'value\n-1.5\n""\nTrue\n'


def test_control_characters_do_not_break_the_drawing():
    assert ET.fromstring(text(0, 0, "a\x00b\x1b<&", "name")).text == "a\ufffdb\ufffd<&"


def test_code_spans_survive_backticks():
    assert code("a `b` ``c``") == "``` a `b` ``c`` ```"
    assert code("plain") == "`plain`"


def test_figures_of_an_earlier_report_go_and_other_files_stay(tmp_path):
    root = fixtures.write(tmp_path / "study", fixtures.study(sim_seeds=4, llm_seeds=0))
    out = tmp_path / "out"
    (out / "figures").mkdir(parents=True)
    listed = [{"file": "901-old"}, {"file": "../../keep"}]
    (out / "verdicts.json").write_text(json.dumps({"figures": listed}))
    for name in ("figures/901-old.svg", "figures/902-mine.svg"):
        (out / name).write_text("")
    (tmp_path / "keep.svg").write_text("")
    analysis.report(root, out, fits="none")
    assert not (out / "figures/901-old.svg").exists()
    assert (out / "figures/902-mine.svg").exists()
    assert (tmp_path / "keep.svg").exists()
