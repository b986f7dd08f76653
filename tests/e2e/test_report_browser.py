"""The report in a real browser: it fits its window, fetches nothing, sorts, filters, prints, and speaks to all."""

import itertools
import json
import re
import tempfile
from pathlib import Path

import pytest
from support import analysis as fixtures
from support.browser import Browser, needs_chromium

import analysis

pytestmark = pytest.mark.slow(30)

HOSTILE = "<script>window.taken = 1</script><img src=x onerror='window.taken = 1'>"
TEXT = fixtures.TEXT.replace('name = "placebo"', f'name = "{HOSTILE}"')
VISIBLE = "[...document.querySelectorAll('#verdict-table tbody tr')].filter(r => r.offsetParent !== null)"
STATUS = "document.getElementById('verdict-status').textContent"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    root = fixtures.write(folder / "study", fixtures.study(sim_seeds=24, llm_seeds=4, text=TEXT))
    return analysis.report(root, folder / "out", fits="none")


@pytest.fixture(scope="module")
def browser():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = Browser(Path(profile))
        yield found
        found.close()


def verdicts(page):
    return json.loads(page.with_name("verdicts.json").read_text())["verdicts"]


def test_the_page_names_no_address(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//""", text)
    assert not re.search(r'url\(\s*["\']?(?!#|data:)', text)


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_fetched_and_nothing_complains(page, browser, dark):
    browser.open(page.as_uri(), dark=dark)
    assert browser.requested() == [page.as_uri()]
    assert browser.complaints() == []
    assert browser.run("window.taken") is None


@needs_chromium
@pytest.mark.parametrize("width", [1280, 375])
def test_the_page_fits_its_window(page, browser, width):
    browser.open(page.as_uri(), width=width)
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    wide = browser.run(
        """[...document.querySelectorAll("body *:not(.skip)")].filter(e => !e.closest("svg, .scroll")
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + "." + e.className)"""
    )
    assert wide == []


@needs_chromium
def test_a_phone_shows_letters_of_at_least_nine_pixels(page, browser):
    browser.open(page.as_uri(), width=375)
    small = browser.run(
        """[...document.querySelectorAll("p, td, th, li, dd, dt, summary, svg text")].filter(e => {
          const svg = e.ownerSVGElement, scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
          return e.textContent.trim() && e.getClientRects().length && parseFloat(getComputedStyle(e).fontSize) * scale < 9;
        }).map(e => e.textContent)"""
    )
    assert small == []


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(page, browser, dark):
    browser.open(page.as_uri(), dark=dark)
    weak = browser.run(
        """(() => {
          const channels = c => c.match(/[\\d.]+/g).map(Number);
          const light = c => channels(c).slice(0, 3).map(v => v / 255)
            .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
          const ground = e => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor, a = channels(c)[3]; if (a === undefined || a > 0) return c; }
            return "rgb(255, 255, 255)"; };
          const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
          return [...document.querySelectorAll("body *")].filter(e => own(e) && e.getClientRects().length
            && !e.closest("script, style, title")).filter(e => {
              const style = getComputedStyle(e), ink = light(e.closest("svg") ? style.fill : style.color);
              const paper = light(ground(e)), ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
              return ratio < 4.5; }).map(e => e.outerHTML.slice(0, 120));
        })()"""
    )
    assert weak == []


@needs_chromium
def test_headings_come_in_order_and_figures_have_names(page, browser):
    browser.open(page.as_uri())
    levels = browser.run("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    unnamed = "[...document.querySelectorAll('svg')].filter(s => !(s.getAttribute('aria-label') || '').trim()).length"
    assert browser.run(unnamed) == 0


@needs_chromium
def test_a_click_sorts_and_a_second_one_turns_round(page, browser):
    browser.open(page.as_uri())
    cells = f"{VISIBLE}.map(r => r.cells[4].dataset.value)"
    for word, down in (("ascending", False), ("descending", True)):
        browser.click("#verdict-table th:nth-child(5) button")
        shown = [float(v) for v in browser.run(cells)]
        assert shown == sorted(shown, reverse=down)
        assert browser.run("document.querySelector('#verdict-table th:nth-child(5)').ariaSort") == word
        assert browser.run(STATUS).endswith(f"by adjusted p, {word}")
    assert browser.run("document.querySelectorAll('th[aria-sort=none]').length") == 5


@needs_chromium
def test_filters_keep_what_they_name_and_say_how_many(page, browser):
    browser.open(page.as_uri())
    found = verdicts(page)
    browser.run(
        "(() => { const s = document.querySelector('select[name=kind]'); s.value = 'llm'; s.dispatchEvent(new Event('change')); })()"
    )
    left = [v for v in found if v["kind"] == "llm"]
    assert 0 < len(left) < len(found)
    assert browser.run(f"{VISIBLE}.map(r => r.dataset.claim)") == [v["claim"] for v in left]
    assert browser.run(STATUS) == f"{len(left)} of {len(found)} shown"
    browser.click("#verdict-filters button")
    assert browser.run(f"{VISIBLE}.length") == len(found)


@needs_chromium
def test_the_keyboard_reaches_everything(page, browser):
    browser.open(page.as_uri())
    found = verdicts(page)
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().left") >= 0
    browser.run("document.querySelector('#verdict-filters select').focus()")
    browser.press("ArrowDown")
    kept = [v["claim"] for v in found if v["claim"] == found[0]["claim"]]
    assert browser.run(f"{VISIBLE}.map(r => r.dataset.claim)") == kept
    browser.press("ArrowUp")
    browser.run("document.querySelector('#verdict-table th:nth-child(3) button').focus()")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Enter", text="\r")
    words = browser.run(f"{VISIBLE}.map(r => r.cells[2].dataset.value)")
    assert words == sorted(v["verdict"] for v in found)
    assert browser.run("document.querySelectorAll('.scroll:not([tabindex=\"0\"])').length") == 0


@needs_chromium
def test_without_scripts_the_whole_table_is_there(page, browser):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page.as_uri())
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run(f"{VISIBLE}.length") == len(verdicts(page))
    assert browser.run("document.getElementById('verdict-filters').offsetParent") is None


@needs_chromium
def test_no_table_is_wider_than_a_printed_page(page, browser):
    browser.open(page.as_uri(), width=690)
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.call("Emulation.setEmulatedMedia", media="print")
    width = browser.run("document.documentElement.scrollWidth")
    browser.call("Emulation.setEmulatedMedia", media="")
    assert width <= 690


@needs_chromium
def test_print_has_pages_and_opens_what_is_folded(page, browser):
    browser.open(page.as_uri())
    browser.run(
        "addEventListener('beforeprint', () => { window.open_ = document.querySelectorAll('details:not([open])').length; })"
    )
    printed = browser.pdf()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 5
    assert browser.run("window.open_") == 0
    assert browser.run("document.querySelectorAll('details[open]').length") == 0
