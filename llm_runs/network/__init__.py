"""The stacked tensor program: tiny transformers, several sets of weights at once."""
