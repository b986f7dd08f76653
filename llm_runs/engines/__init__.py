"""What draws responses from a policy: the torch engine (stacked replicas)."""
