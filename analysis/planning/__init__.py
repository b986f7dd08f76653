"""Seeds that a study needs: the power of its claims, from a pilot and the tests' own laws."""
