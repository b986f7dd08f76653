"""What the loop does with a round beside sampling and learning: batch, grades, rewards, rows, trackers."""
