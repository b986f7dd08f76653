"""Tests and intervals: numbers in, p-values and bounds out. Nothing here knows of claims or records."""
