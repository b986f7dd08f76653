"""Pass@1 by sampling: on curves, at the end, and again from the weights of finished runs."""
