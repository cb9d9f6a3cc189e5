"""What can be wrong with a fit, in words that say what to try."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """State of a fit, from the most to the least severe; the value is the sentence that is printed.

    Examples
    --------
    >>> Status.worst([Status.OK, Status.COLLINEAR])
    <Status.COLLINEAR>
    """

    TOO_FEW_VALUES = (
        "There are too few distinct inputs to determine the parameters. Add runs at other values, or fix or tie "
        "parameters."
    )
    AMPLITUDE_OUT_OF_RANGE = (
        "The amplitude, which is the term at x = 1, is larger or smaller than a number can be: the inputs span too "
        "narrow a range for so steep a term, and nothing predicted holds. Add runs over a wider range, or fix the "
        "exponent."
    )
    COLLINEAR = (
        "Two inputs move together, so their terms cannot be told apart; only the loss along that line is known. "
        "Add runs off the line (several model sizes at one budget), or fit the power law of one input."
    )
    NOT_CONVERGED = (
        "The solver did not reach an optimum. The data hardly determine this law: fix or tie a parameter, "
        "or use a wider delta."
    )
    NOT_IDENTIFIED = (
        "Some parameters trade off against one another without changing the loss: their numbers are arbitrary. "
        "Fix or tie one of them, or write the law with fewer."
    )
    NO_DECREASE = (
        "The loss does not fall with this input: the term vanishes and its exponent means nothing. "
        "Look for undertuned or diverged runs, or choose another input."
    )
    EXPONENT_AT_LOWER = (
        "The exponent is at the low end of its range, where a power cannot be told from a logarithm: it is not "
        "identified. Add runs over a wider range, or fix E."
    )
    EXPONENT_AT_UPPER = (
        "The exponent is at the high end of its range: the term acts on the smallest runs alone. "
        "Drop those runs, or look for a broken row."
    )
    E_AT_ZERO = (
        "E is at its lower bound 0: the data show no floor, and the exponent is that of a law without one. "
        "Add larger runs, or say so with LawRegressor(law, fixed={'E': 0})."
    )
    E_AT_UPPER = (
        "E is at its upper bound, the median loss: over half of the runs lie at or below the floor. "
        "Look for inputs that hardly vary or a loss that does not fall."
    )
    AT_BOUND = "A parameter is at a bound of its law. Widen the bounds, or fix the parameter there."
    E_ABOVE_LOSS = (
        "E lies above some losses by more than three times the scatter of the fit: those rows contradict the floor. "
        "Check them, or fit without them."
    )
    NO_SPARE_ROWS = (
        "There are as many rows as free parameters: the law goes through every row, and its residuals say nothing. "
        "Add runs, or fix a parameter."
    )
    OK = "The fit is at the lowest optimum found, inside all bounds."

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}>"

    @staticmethod
    def worst(found: list[Status]) -> Status:
        """Most severe of several."""
        order = list(Status)
        return min(found, key=order.index, default=Status.OK)
