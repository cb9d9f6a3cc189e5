"""What a result shows in a notebook and in a paper: its status first, then one table of numbers in few digits."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose, isfinite, isnan, nan

MISSING = "-"
PLAIN = (1e-4, 1e6)  # between which a number is written without a power of ten
MOST_DIGITS = 6


@dataclass(frozen=True)
class Number:
    """A number of a table; a paper rounds it by its standard error, where it has one.

    Examples
    --------
    >>> number = Number(0.35001234, error=0.0152)
    >>> str(number), number.padded, number.rounded
    ('0.35', '0.3500', '0.350')
    """

    value: float
    digits: int = 4
    error: float = nan

    def __str__(self) -> str:
        return short(self.value, self.digits)

    @property
    def padded(self) -> str:
        """With zeros at the end that are digits of the number."""
        return padded(self.value, self.digits)

    @property
    def rounded(self) -> str:
        """By its standard error."""
        return by_error(self.value, self.error) if isfinite(self.error) and self.error > 0 else self.padded


@dataclass(frozen=True)
class Ends:
    """The ends of an interval, nan where it is refused.

    Examples
    --------
    >>> str(Ends(0.32618, 0.38923)), Ends(0.32618, 0.38923, error=0.0152).rounded
    ('0.3262 to 0.3892', ('0.326', '0.389'))
    """

    low: float
    high: float
    error: float = nan

    def __str__(self) -> str:
        return "refused" if self.refused else f"{short(self.low)} to {short(self.high)}"

    @property
    def padded(self) -> str:
        """With zeros at the end that are digits of the ends."""
        return "refused" if self.refused else f"{padded(self.low)} to {padded(self.high)}"

    @property
    def refused(self) -> bool:
        """Whether there is none."""
        return isnan(self.low) or isnan(self.high)

    @property
    def rounded(self) -> tuple[str, str]:
        """Both by the standard error."""
        low, high = (Number(value, error=self.error).rounded for value in (self.low, self.high))
        return low, high


@dataclass(frozen=True)
class PlusMinus:
    """A number and its standard error, to two digits of the error.

    Examples
    --------
    >>> str(PlusMinus(6.0912e-4, 0.63e-4)), str(PlusMinus(9.43, 1.81)), str(PlusMinus(9.43, float("nan")))
    ('(6.09 ± 0.63)e-04', '9.4 ± 1.8', '9.43')
    """

    value: float
    error: float

    def __str__(self) -> str:
        number, error, exponent = self.parts
        if not error:
            return number
        return f"({number} ± {error})e{exponent:+03d}" if exponent else f"{number} ± {error}"

    @property
    def parts(self) -> tuple[str, str, int]:
        """Number, error and the power of ten of both; no error where there is none."""
        if not (isfinite(self.value) and isfinite(self.error) and self.error > 0):
            return short(self.value), "", 0
        plain = 0.1 <= abs(self.value) < 1e4 or self.value == 0
        exponent = 0 if plain else _power(self.value, MOST_DIGITS)
        value, error = (part / 10.0**exponent for part in (self.value, self.error))
        decimals = min(max(0, 1 - _power(error, 2)), 4)
        return f"{value:.{decimals}f}", f"{error:.{decimals}f}", exponent


@dataclass(frozen=True)
class Symbol:
    """Name of a parameter or of a column: a letter in a paper, the name as it is elsewhere.

    Examples
    --------
    >>> str(Symbol("alpha"))
    'alpha'
    """

    name: str
    formula: str = ""  # in a paper, where the name does not tell

    def __str__(self) -> str:
        return self.name


Cell = str | Number | Ends | PlusMinus | Symbol


@dataclass(frozen=True)
class Sheet:
    """What a result shows: a verdict with its reasons, one table, and what stands beneath.

    Attributes
    ----------
    verdict : str
        "ok", or what is wrong in a word.
    reasons : tuple of str
        Sentences, the most severe first.
    title : str
    header : tuple of Cell
    rows : tuple of tuple of Cell
    last : tuple of tuple of Cell
        Rows beneath a rule, such as means.
    notes : tuple of str
        What a reader should know although nothing is wrong.
    footer : tuple of str
    mark : str
        What is wrong, in so few words that it stands in the table of a paper.

    Examples
    --------
    >>> Sheet("ok", (), "two runs", ("params", "loss"), (("1B", Number(2.5)),)).ok
    True
    """

    verdict: str
    reasons: tuple[str, ...]
    title: str
    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    last: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    mark: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict == "ok"

    @property
    def left(self) -> tuple[bool, ...]:
        """Columns of words, which start at the left; numbers end at the right."""
        return tuple(
            all(isinstance(row[column], str | Symbol) for row in self.rows) for column in range(len(self.header))
        )


def short(value: float, digits: int = 4) -> str:
    """Number in a few significant digits; a dash for nan.

    Examples
    --------
    >>> short(0.123456789), short(1797000000.0), short(float("nan"))
    ('0.1235', '1.797e+09', '-')
    """
    return MISSING if isnan(value) else f"{value:.{digits}g}"


def padded(value: float, digits: int = 4) -> str:
    """Number in so many significant digits, zeros at the end too, unless it has fewer.

    Examples
    --------
    >>> padded(2.0498), padded(1e20), padded(128.0), padded(3.1004e-5, 3)
    ('2.050', '1e+20', '128', '3.10e-05')
    """
    words = short(value, digits)
    fewer = words == MISSING or isclose(float(words), value, rel_tol=1e-9)
    return words if fewer else f"{value:#.{digits}g}".rstrip(".")


def by_error(value: float, error: float) -> str:
    """Number to two digits of its standard error, with two to six digits of its own.

    Examples
    --------
    >>> by_error(553.7, 163.0), by_error(0.26481, 0.0152), by_error(65.01, 4860.0), by_error(1.7971e9, 2.1e8)
    ('550', '0.265', '65', '1.80e+09')
    """
    if not isfinite(value):
        return short(value)
    own = _power(value, 2) if value else _power(error, 2)
    place = max(min(_power(error, 2), own) - 1, own + 1 - MOST_DIGITS)  # of the last digit
    if value and not PLAIN[0] <= abs(value) < PLAIN[1]:
        return f"{value:.{max(own - place, 0)}e}"
    return f"{round(value, -place) + 0.0:.{max(-place, 0)}f}"


def visible(text: object) -> str:
    r"""Text whose control and formatting characters are shown as escapes; lines stay lines.

    Examples
    --------
    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in str(text))


def _power(value: float, digits: int) -> int:
    """Power of ten of a number that is rounded to so many digits."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])
