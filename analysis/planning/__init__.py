"""Seeds that a study needs: the power of its claims, from a pilot and the tests' own laws.

`seeds` plans a study from a pilot (`banditrft power`), by `components`, one function per kind of estimate,
and `power`, one per test. `attainable` needs no pilot and loads little (`banditrft lint`, `plan`): it says
which claims no data can decide with so few seeds.
"""
