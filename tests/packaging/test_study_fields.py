"""docs/study-files.md is what `banditrft fields` prints, and every field has a meaning."""

from pathlib import Path

import pytest

from banditrft.cli.fields import TABLES, markdown, rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "study-files.md"


def test_the_document_is_what_the_command_prints():
    assert DOCUMENT.read_text(encoding="utf-8").endswith(f"\n\n{markdown()}")


@pytest.mark.parametrize("title", TABLES)
def test_every_field_has_a_meaning(title):
    assert [row["field"] for row in rows(TABLES[title]) if not row["meaning"]] == []


def test_kinds_are_what_a_writer_of_toml_would_call_them():
    table = {row["field"]: row for row in rows(TABLES["Its training queries: `[llm.queries]`"])}
    assert (table["base_pass_at_1"]["kind"], table["base_pass_at_1"]["default"]) == (
        "list of number",
        "[0.1, 0.5]",
    )
    assert (table["file"]["kind"], table["file"]["default"]) == ("text", "none")
