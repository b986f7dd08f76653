"""Records of any source as arrays and tables: read strictly, checked, never repaired.

`records` reads a study into arrays (`analysis.load`), by `blocks`, which reads run folders; `scan` reads
tables of many studies lazily (`analysis.scan`); `counts` is the table of success counts that fits read;
`foreign` reads what other programs wrote.
"""
