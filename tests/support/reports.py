"""Four studies whose reports are golden: own claims only, one claim, imported logs, three runs a condition."""

import re
from html.parser import HTMLParser
from pathlib import Path

from support import analysis as fixtures
from support import importing
from support.cli import banditrft

OWN = """
[[own_claims]]
id = "sooner"
type = "faster"
statement = "Four rollouts reach .8 in fewer rounds than one."
a = "G=4"
b = "G=1"
margin = 1.2
threshold = 0.8
[[own_claims]]
id = "slower"
type = "faster"
statement = "One rollout reaches .7 three times as fast as four."
a = "G=1"
b = "G=4"
margin = 3
threshold = 0.7
"""
LOGS = """
[[own_claims]]
id = "same"
type = "no-better"
statement = "b ends within two points of a on the test set."
a = "b"
b = "a"
margin = 0.02
"""
NAMES = ("own", "one", "imported", "three")


def own(root: Path) -> Path:
    """A study that names no claim of the ledger and states two of its own, of which one is refuted."""
    text = fixtures.TEXT.replace('claims = ["A1", "A5"]\n', "claims = []\n") + OWN
    return fixtures.write(root / "own", fixtures.study(sim_seeds=16, llm_seeds=0, text=text))


def one(root: Path) -> Path:
    """A study of one claim, A5, in the simulated world."""
    text = fixtures.BOTH.replace('["A1", "A5"]', '["A5"]')
    return fixtures.write(root / "one", fixtures.study(sim_seeds=16, llm_seeds=0, text=text))


def imported(root: Path) -> Path:
    """Logs of 8 runs each of two conditions and of a placebo, with a claim of the user's own."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "own.toml").write_text(LOGS)
    paths = [
        importing.verl_console(root / f"{arm}{i}.txt", counts=(i, 6, 8 + arm, 14))
        for arm in (0, 1)
        for i in range(8)
    ]
    paths += [importing.verl_console(root / f"placebo{i}.txt", counts=(i, 6, 8, 7)) for i in range(8)]
    for path in paths[16:]:
        path.write_text(path.read_text().replace("0.750", "0.250"))
    names = [option for arm in ("a", "b", "placebo") for option in 8 * ("--condition", arm)]
    said = ("--set", "placebo:reward=random", "--samples", importing.N, "--test-samples", 400)
    place = ("--claims", root / "own.toml", "--out", root / "runs")
    banditrft("import", "verl", *paths, *names, *said, *place, cwd=root)
    return root / "runs" / "imported"


def three(root: Path) -> Path:
    """Three runs a condition."""
    return fixtures.write(root / "three", fixtures.study(sim_seeds=3, llm_seeds=0, text=fixtures.BOTH))


BLOCKS = {"h1", "h2", "h3", "h4", "p", "li", "figcaption", "summary", "tr", "div"}
HIDDEN = {"style", "script", "svg", "title", "nav", "select"}
MARKS = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "summary": "> ", "li": "- ", "tr": "| "}


class _Visible(HTMLParser):
    """Text that a reader sees without opening anything, a line per block."""

    def __init__(self):
        super().__init__()
        self.lines, self.open, self.hidden, self.folded, self.tag = [], [], 0, 0, ""

    def handle_starttag(self, tag, attrs):
        if tag in HIDDEN:
            self.hidden += 1
        if tag in BLOCKS:
            self.flush()
            self.tag = tag
        if tag == "details":
            self.folded += 1

    def handle_endtag(self, tag):
        if tag in HIDDEN:
            self.hidden -= 1
        if tag in BLOCKS:
            self.flush()
        if tag == "details":
            self.flush()
            self.folded -= 1
        if tag in {"td", "th", "dt"} and not self.folded:
            self.open.append(" | ")

    def handle_data(self, data):
        if not self.hidden and (self.folded == 0 or (self.folded == 1 and self.tag == "summary")):
            self.open.append(data)

    def flush(self):
        said = " ".join("".join(self.open).split()).removesuffix(" |")
        if said and set(said) != {"|"}:
            self.lines.append(MARKS.get(self.tag, "") + said)
        self.open, self.tag = [], ""


def visible(page: Path) -> list[str]:
    """What a reader of a page sees before opening anything; no words of figures."""
    parser = _Visible()
    parser.feed(page.read_text(encoding="utf-8"))
    parser.flush()
    return parser.lines


def own_words(page: Path, document: dict) -> str:
    """The page's visible lines with the claims' words put in brackets and without its provenance.

    What claims say of themselves has tests of its own; here stands what the report says.
    """
    text = "\n".join(visible(page))
    text = text[: text.index("## Provenance")]
    said = {}
    for verdict in document["verdicts"]:
        said |= {verdict["summary"]: "summary", verdict["statement"]: "statement"}
        said |= dict.fromkeys(verdict["notes"], "note")
        for part in (*verdict["parts"], *verdict["stricter"]):
            said |= {part["label"]: "label", part["sentence"]: "sentence"}
    said |= {f["caption"]: "caption" for f in document["figures"] if f["section"] in ("forest", "raw")}
    said |= {s["sentence"]: "evidence" for s in document["diagnosis"]}
    for words in sorted((" ".join(w.split()) for w in said if w), key=len, reverse=True):
        text = text.replace(words, f"[{said.get(words, 'words')}]")
    return re.sub(r"[0-9a-f]{16}", "[hash]", text).rstrip() + "\n"
