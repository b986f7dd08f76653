"""What compiled loops share: how they are compiled, random numbers, e^x, quantiles of the Beta law."""
