"""The exact softmax bandit over classes of interchangeable arms (theory §1): a fast and a general path."""
