"""The ledger's claims as code: one module per claim, each turning records of one world into a `Finding`."""
