"""What the report says, as plain data: one module per section, `document` puts them together."""
