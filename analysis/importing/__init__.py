"""Logs of other trainers as records: TRL, verl, and plain tables of counts or metrics.

An import states what the logs do not say; nothing is filled in. `read_trl`, `read_verl`, `read_table` give an
`Imported`, `write` puts it under ``runs/<study>/`` like any other records.
"""

from analysis.importing.options import Options
from analysis.importing.runs import Imported, ImportedRun, write
from analysis.importing.tables import read_table
from analysis.importing.trl import read_trl
from analysis.importing.verl import read_verl
from analysis.importing.whole import Scale

__all__ = ["Imported", "ImportedRun", "Options", "Scale", "read_table", "read_trl", "read_verl", "write"]
