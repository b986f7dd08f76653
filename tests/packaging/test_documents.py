"""README and docs name commands, options and files that exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from banditrft.cli import banditrft

ROOT = Path(__file__).parents[2]
WRITTEN = (
    p for p in (ROOT / "docs").rglob("*.md") if p.name != "summary.md"
)  # a report's, without its figures
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(WRITTEN)]
SHOWN = re.compile(r"^ {4,}banditrft (.*)$|`(?:\.venv/bin/)?banditrft ([^`]*)`", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands(text):
    """Argument lists of the commands that a page shows, comments cut off."""
    for match in SHOWN.finditer(text.replace("\\\n", " ")):
        words = shlex.split(match[1] or match[2], comments=True)
        if words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            yield words


def unknown(words):
    """What of a command line is no command or option of ours."""
    command, context = banditrft, click.Context(banditrft)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        if (found := command.get_command(context, name)) is None:
            return name
        command = found
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    return next((w for w in words if w.startswith("--") and w.split("=")[0] not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_exist(page):
    for words in commands(page.read_text(encoding="utf-8")):
        assert unknown(words) is None, " ".join(words)


def test_an_unknown_command_or_option_is_found():
    text = "    banditrft predict --p0 0.1 --rolouts 4  # typo\n`banditrft simulate`"
    assert [unknown(words) for words in commands(text)] == ["--rolouts", "simulate"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_readme_is_one_screen():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 65


JOURNEYS = (
    (ROOT / "docs" / "design.md")
    .read_text(encoding="utf-8")
    .partition("## Three journeys")[2]
    .partition("\n## ")[0]
)
NAMED = re.compile(r"`((?:banditrft|sims|llm_runs|analysis)/[\w/]*(?:\.py|/))`")


def test_journeys_pass_through_files_that_exist():
    assert [len(re.findall(r"^\d+\. ", part, re.M)) for part in JOURNEYS.split("\n**")[1:]] == [10, 10, 10]
    for name in NAMED.findall(JOURNEYS):
        assert (ROOT / name).exists(), name
