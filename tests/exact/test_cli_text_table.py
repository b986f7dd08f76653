"""Tables of the command line: columns never run into one another."""

from banditrft.cli.common import text_table


def test_columns_are_as_wide_as_their_longest_cell():
    rows = [("gains a little", "undecided", "-0.0188"), ("all", "supported", "0")]
    assert text_table(("world", "verdict", "estimate"), rows, right=("estimate",)).split("\n") == [
        "world           verdict    estimate",
        "gains a little  undecided   -0.0188",
        "all             supported         0",
    ]


def test_without_rows_the_titles_stand_alone_and_no_line_ends_in_blanks():
    assert text_table(("a", "b"), []) == "a  b"
    assert text_table(("a", "long"), [("x", "")]).split("\n") == ["a  long", "x"]
