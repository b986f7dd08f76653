"""The report in a real browser: nothing overflows, nothing is fetched, nothing is scripted."""

import html
import json
import os
import re
import shutil
import subprocess

import analysis_fixtures as fixtures
import pytest

import analysis

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
PROBE = """<script>
const page = document.documentElement, wide = [...document.querySelectorAll("body *")].filter(
  e => !e.closest("svg") && e.getBoundingClientRect().right > innerWidth + 1 && !inScroller(e));
function inScroller(e) {
  for (let p = e.parentElement; p; p = p.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(p).overflowX) && p !== document.body) return true;
  return false;
}
parent.document.title = JSON.stringify({inner: innerWidth, scroll: page.scrollWidth,
  wide: wide.slice(0, 5).map(e => e.tagName + "." + e.className),
  fetched: performance.getEntriesByType("resource").map(r => r.name),
  small: [...document.querySelectorAll("p, td, th, li, dd, dt")].filter(
    e => e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 11).length});
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    root = fixtures.write(folder / "study", fixtures.study(sim_seeds=24, llm_seeds=4))
    return analysis.report(root, folder)


def test_the_page_asks_for_nothing(page):
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//""", text)
    assert not re.search(r'url\(\s*["\']?(?!#|data:)', text)


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),
    reason="left out: no Chromium on this machine (the CI has one)",
)
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_window(page, tmp_path, width):
    # A window is never narrower than a desktop allows; a frame is as narrow as a phone.
    inner = page.read_text(encoding="utf-8").replace("</body>", PROBE)
    frame = f'<iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(inner)}"></iframe>'
    probed = tmp_path / "probed.html"
    probed.write_text(f"<!doctype html><title></title><body>{frame}</body>", encoding="utf-8")
    assert CHROMIUM is not None, "the CI must have a Chromium"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000"]
    done = subprocess.run(
        [*command, "--dump-dom", probed.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert title, done.stdout[:500]
    seen = json.loads(html.unescape(title.group(1)))
    assert seen["inner"] == width
    assert seen["scroll"] <= width, seen["wide"]
    assert seen["wide"] == []
    assert seen["fetched"] == []
    assert seen["small"] == 0
