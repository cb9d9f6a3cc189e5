"""The solver: global optima of batches of separable laws, and scipy's trust region from many starts for the rest.

`problem` is the batch in scaled coordinates, `screen` finds the basins, `newton` goes to their bottom, `separable` puts
the three together, `refits` does it for bootstraps; `multistart` is the paper's own route.
"""

from .multistart import Multistart, power_law_starts, trf_multistart
from .problem import EXPONENT_RANGE, Problem, make_problem
from .refits import refit
from .separable import Optima, solve

__all__ = [
    "EXPONENT_RANGE",
    "Multistart",
    "Optima",
    "Problem",
    "make_problem",
    "power_law_starts",
    "refit",
    "solve",
    "trf_multistart",
]
