"""e^x for rows of slots, fast enough to run over every slot in every round.

Scalar functions without branches, so that loops over them fill vector registers. Relative error at most one
unit of 2**-52 (tested). The shorter series exist because the exponents of a softmax's update sum to at most
the step, so that nearly all of them are tiny. Not a library function: no infinities, no subnormal results.
"""

import math

import numpy as np

from sims.compiled.jit import kernel, power_of_two

TINY, MEDIUM = 2.0**-8, 0.34
"""Largest exponent for which 5 and 13 terms of the series are exact to 2**-54 relative."""
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471805598903, 5.497923018708371e-14
"""ln 2 in two parts; the first has trailing zeros, so that its product with a small whole number is exact."""
C2, C3, C4, C5, C6, C7 = (1.0 / math.factorial(k) for k in range(2, 8))
C8, C9, C10, C11, C12, C13 = (1.0 / math.factorial(k) for k in range(8, 14))


@kernel
def series5(x: float) -> float:
    """e^x - 1 for |x| <= TINY."""
    x2 = x * x
    return x + x2 * ((C2 + x * C3) + x2 * (C4 + x * C5))


@kernel
def series13(x: float) -> float:
    """e^x - 1 for |x| <= ln(2)/2 (theirs is the reduced argument of `exp`)."""
    x2 = x * x
    x4 = x2 * x2
    low = (C2 + x * C3) + x2 * (C4 + x * C5)
    middle = (C6 + x * C7) + x2 * (C8 + x * C9)
    high = (C10 + x * C11) + x2 * (C12 + x * C13)
    return x + x2 * (low + x4 * (middle + x4 * high))


@kernel
def exp(x: float) -> float:
    """e^x for |x| <= 700."""
    k = np.floor(x * LOG2_E + 0.5)
    rest = (x - k * LN2_HIGH) - k * LN2_LOW
    return (1.0 + series13(rest)) * power_of_two(k)
