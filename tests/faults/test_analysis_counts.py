"""Files of counts that cannot be trusted: one message that names file and row, or item and entry."""

import polars as pl
import pytest

from analysis.loading.counts import COUNTS, check_counts, read_counts
from banditrft.errors import InputError, RecordError

HEAD = "item,round,n,correct\n"
TABLES = {
    "a,0,4,5\n": r"row 1: correct must lie in 0\.\.n",
    "a,0,4,1\na,1,4,-1\n": r"row 2: correct must lie in 0\.\.n",
    "a,0,0,0\n": "row 1: n must lie in 1..2147483647",
    "a,nan,4,1\n": "row 1: round must be finite",
    "a,-1,4,1\n": "row 1: round must be finite and 0 or more",
    "a,0,4,1\na,0,4,2\n": "row 2: .*must be unique",
    "a,0,4,\n": "row 1: 'correct' must be a whole number, got None",
    "a,0,4,1\na,1,4,1.5\n": "row 2: 'correct' must be a whole number, got '1.5'",
    "a,zero,4,1\n": "row 1: 'round' must be a number, got 'zero'",
    ",0,4,1\n": "row 1: 'item' must be text, got None",
}


@pytest.mark.parametrize(("rows", "message"), TABLES.items())
def test_a_bad_row_is_named(tmp_path, rows, message):
    path = tmp_path / "t.csv"
    path.write_text(HEAD + rows)
    with pytest.raises(RecordError, match=rf"t\.csv: {message}"):
        read_counts(path)


FRACTIONS = {
    '{"a": [0.5, NaN]}': r"item 'a', entry 1: must be a multiple of 1/8 in \[0, 1\], got nan",
    '{"a": [0.5, 0.3]}': r"item 'a', entry 1: must be a multiple of 1/8",
    '{"a": [1.125]}': "item 'a', entry 0",
    '{"a": [true]}': "item 'a', entry 0",
    '{"a": 0.5}': "item 'a': must be a list",
    '{"a": [0.5], "a": [1.0]}': "item 'a' stands there twice",
    '{"a": []}': "no item has an entry",
    "{}": "must be an object of items",
    "[0.5]": "must be an object of items",
    '{"a": [0.5': "cannot be read as JSON",
}


@pytest.mark.parametrize(("text", "message"), FRACTIONS.items())
def test_a_bad_fraction_is_named(tmp_path, text, message):
    path = tmp_path / "h.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=rf"h\.json: .*{message}"):
        read_counts(path, n=8)


@pytest.mark.parametrize("n", [None, 0])
def test_fractions_without_their_n_are_refused(tmp_path, n):
    path = tmp_path / "h.json"
    path.write_text('{"a": [0.5]}')
    with pytest.raises(InputError, match="n: a file of fractions needs"):
        read_counts(path, n=n)


def test_a_table_that_states_its_n_takes_no_other(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "a,0,4,1\n")
    with pytest.raises(InputError, match="states its own n"):
        read_counts(path, n=8)


@pytest.mark.parametrize(
    ("name", "content"), [("t.parquet", b"PAR1 broken"), ("t.jsonl", b"{no"), ("gone.csv", None)]
)
def test_an_unreadable_file_is_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=name):
        read_counts(tmp_path / name)


def test_an_unknown_ending_is_refused(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"")
    with pytest.raises(InputError, match=r"must end in \.csv"):
        read_counts(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("header", "message"),
    [("item,round,n\n", "lacks the columns correct"), ("item,round,n,correct,acc\n", "got also acc")],
)
def test_missing_and_unknown_columns_are_named(tmp_path, header, message):
    path = tmp_path / "t.csv"
    path.write_text(header)
    with pytest.raises(RecordError, match=message):
        read_counts(path)


def test_a_table_of_other_types_is_refused():
    with pytest.raises(RecordError, match="here: columns must be"):
        check_counts(pl.DataFrame({"item": ["a"]}), "here")


def test_an_empty_table_is_fine():
    check_counts(pl.DataFrame(schema=COUNTS), "here")
