r"""Sheets as LaTeX tables for papers: booktabs rules, numbers rounded by their standard errors, all text escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from . import __version__
from .sheets import MISSING, Cell, Ends, Number, PlusMinus, Sheet, Symbol, visible

_SPECIAL = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "[": "{[}", "*": "{*}",  # after a new line they would be its options
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip
_COLUMNS = {
    "params": "$N$", "tokens": "$D$", "flops": "$C$ (FLOPs)", "loss": "$L$", "tokens_per_param": "$D/N$", "mse": "MSE",
}  # fmt: skip
_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|psi|omega"
)


def latex_of(sheet: Sheet, protocol: Mapping[str, Any]) -> str:
    r"""LaTeX `tabular` of a sheet, to be put into a table of one's own; it needs \usepackage{booktabs}.

    Parameters
    ----------
    sheet : Sheet
    protocol : mapping
        How the numbers were found, as plain values: a comment of one line.

    Examples
    --------
    >>> sheet = Sheet("ok", ("Fine.",), "a law", ("", "value"), ((Symbol("alpha"), Number(0.3571, error=0.015)),))
    >>> print(latex_of(sheet, {"rows": 245}).partition("\n% protocol")[0])
    % a law
    % ok: Fine.
    >>> print(latex_of(sheet, {"rows": 245}).partition("booktabs}\n")[2])
    \begin{tabular}{lr}
    \toprule
     & value \\
    \midrule
    $\alpha$ & $0.357$ \\
    \bottomrule
    \end{tabular}
    <BLANKLINE>
    """
    about = json.dumps({"scalefit": __version__, **protocol}, default=str)  # one line of ASCII, whatever is in it
    lines = [sheet.title, *(f"{sheet.verdict}: {reason}" for reason in sheet.reasons)]
    lines += [*(f"note: {note}" for note in sheet.notes), *sheet.footer, f"protocol {about}"]
    lines += [r"needs \usepackage{booktabs}"]
    body = [_row(row) for row in sheet.rows]
    if sheet.last:
        body += [r"\midrule", *(_row(row) for row in sheet.last)]
    if sheet.mark:
        body += [r"\midrule", rf"\multicolumn{{{len(sheet.header)}}}{{l}}{{{escaped(sheet.mark)}}} \\"]
    return "\n".join([
        *(f"% {' '.join(visible(line).split())}" for line in lines),
        rf"\begin{{tabular}}{{{''.join('l' if left else 'r' for left in sheet.left)}}}",
        r"\toprule", _row(sheet.header), r"\midrule", *body, r"\bottomrule", r"\end{tabular}", "",
    ])  # fmt: skip


def escaped(text: str) -> str:
    r"""Text that LaTeX prints as it is, on one line.

    Examples
    --------
    >>> print(escaped("50 % of $x_1$ \\input{a}"))
    50 \% of \$x\_1\$ \textbackslash{}input\{a\}
    """
    return "".join(_SPECIAL.get(c, c) for c in " ".join(visible(text).split()))


def symbol(name: str) -> str:
    r"""Parameter or column as it stands in a paper; a name that is no letter as text.

    Examples
    --------
    >>> [symbol(name) for name in ("E", "alpha", "alpha_N", "c1", "tokens", "val_loss")]
    ['$E$', '$\\alpha$', '$\\alpha_{N}$', '$c_{1}$', '$D$', 'val\\_loss']
    """
    if name in _COLUMNS:
        return _COLUMNS[name]
    found = re.fullmatch(rf"({_GREEK.pattern}|[A-Za-z])(?:_([A-Za-z0-9]+)|(\d?))", name)
    if found is None:
        return escaped(name)
    letter = f"\\{found[1]}" if _GREEK.fullmatch(found[1]) else found[1]
    index = found[2] or found[3]
    if not index:
        return f"${letter}$"
    return f"${letter}_{{{index}}}$" if len(index) == 1 else rf"${letter}_{{\mathrm{{{index}}}}}$"


def in_math(formula: str) -> str:
    r"""Formula of a law, or one parameter, as a picture sets it; as it is where a name has no symbol.

    Examples
    --------
    >>> [in_math(formula) for formula in ("E + A params^-alpha", "alpha", "E + A steps^-alpha")]
    ['$E + A N^{-\\alpha}$', '$\\alpha$', 'E + A steps^-alpha']
    """
    names = {name: symbol(name).removesuffix(" (FLOPs)") for name in re.findall(r"[A-Za-z]\w*", formula)}
    letters = all(re.fullmatch(r"\$[^$]+\$", made) for made in names.values())
    if not letters or not re.fullmatch(r"[\w +^()-]*", formula, re.ASCII):
        return formula.replace("$", r"\$")
    raised = re.sub(r"\^(-\w+)", r"^{\1}", formula)
    return "$" + re.sub(r"[A-Za-z]\w*", lambda name: names[name[0]][1:-1], raised) + "$"


def _row(cells: tuple[Cell, ...]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Symbol):
        return f"${cell.formula}$" if cell.formula else symbol(cell.name)
    if isinstance(cell, Number):
        return _math(cell.rounded)
    if isinstance(cell, PlusMinus):
        number, error, power = cell.parts
        if not error:
            return _math(number)
        return rf"$({number} \pm {error}){_ten(power)}$" if power else rf"${number} \pm {error}$"
    if isinstance(cell, Ends) and not cell.refused:
        (low, power), (high, other) = (_split(end) for end in cell.rounded)
        if power == other:
            return f"$[{low}, {high}]{_ten(power)}$"
        return f"$[{low}{_ten(power)}, {high}{_ten(other)}]$"
    return escaped(str(cell))


def _math(number: str) -> str:
    """Number in words of Python as a formula."""
    if number == MISSING:
        return "--"
    digits, power = _split(number)
    return f"$10^{{{power}}}$" if power and digits == "1" else f"${digits}{_ten(power)}$"


def _split(number: str) -> tuple[str, int]:
    """Digits, and the power of ten that they are multiplied by."""
    digits, _, power = number.replace("inf", r"\infty").partition("e")
    return digits, int(power or 0)


def _ten(power: int) -> str:
    return rf"\times10^{{{power}}}" if power else ""
