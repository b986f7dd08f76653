"""Models fitted to success counts: population curves, items over time, and the bandit of theory §2-§6."""
