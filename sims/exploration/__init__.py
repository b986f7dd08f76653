"""Classical exploration on the lumped bandit: UCB, Thompson sampling, epsilon-greedy (theory §1)."""
