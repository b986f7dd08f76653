"""Programs that tests or the README run in a process of their own."""
