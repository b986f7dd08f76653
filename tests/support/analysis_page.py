"""A report's page taken apart, for tests."""

from html.parser import HTMLParser
from pathlib import Path

from analysis.estimands import FORMATS


class Numbers(HTMLParser):
    """Collects every <data> element, the ids, links to files beside the page, and whatever would leave it."""

    def __init__(self):
        super().__init__()
        self.found, self.open, self.ids, self.links, self.outside, self.images = [], None, [], [], [], []
        self.files = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "data":
            self.open = (values, [])
        if "id" in values:
            self.ids.append(values["id"])
        for name in ("href", "aria-labelledby"):
            if name in values and not values[name].startswith("figures/"):
                self.links.append(values[name].removeprefix("#"))
        if values.get("href", "").startswith("figures/"):
            self.files.append(values["href"])
        if tag in {"link", "iframe", "img", "object"} or "src" in values:
            self.outside.append(tag)
        if tag == "svg":
            self.images.append(values)

    def handle_data(self, data):
        if self.open:
            self.open[1].append(data)

    def handle_endtag(self, tag):
        if tag == "data":
            self.found.append((self.open[0], "".join(self.open[1])))
            self.open = None


def parse(page: Path) -> Numbers:
    """All numbers, ids and links of a page."""
    parser = Numbers()
    parser.feed(page.read_text())
    return parser


def wanted(attributes: dict[str, str], value: float | None) -> str:
    """How a number has to read: an estimate that is not there is a dash, an end that is not bounded infinity."""
    gone = value is None and attributes["data-path"].endswith("/estimate")
    return "–" if gone else FORMATS[attributes["data-kind"]](value)
