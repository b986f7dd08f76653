"""Plain tables on a terminal: columns as wide as what stands in them."""

from collections.abc import Sequence


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Rows under their titles, two spaces between columns, none at the end of a line.

    Args:
        titles: One per column.
        rows: Cells, as many as titles each.
        right: Titles of the columns that are flush right.
    """
    wide = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        put = [
            text.rjust(width) if title in right else text.ljust(width)
            for title, width, text in zip(titles, wide, cells, strict=True)
        ]
        return "  ".join(put).rstrip()

    return "\n".join([line(titles), *map(line, rows)])
