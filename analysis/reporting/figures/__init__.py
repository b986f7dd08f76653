"""How the report's figures are drawn: SVG by hand, each also a file of its own with its data as CSV."""
