"""Sheets as HTML for notebooks: no script, no style sheet, no colour but the reader's own; all text is escaped."""

from __future__ import annotations

from html import escape

from .sheets import Cell, Ends, Number, Sheet, visible

MOST_ROWS = 20  # of a table in a notebook; `to_frame` has them all

# Of the bar beside the verdict, seen on white and on black alike; the words say the same.
_BARS = {"ok": "#009E73", "NOT OK": "#D55E00", "REFUSED": "#D55E00"}
_DOUBT = "#E69F00"
_RULE = "1px solid rgba(128, 128, 128, 0.6)"
_WIDTH = "max-width: 72em; overflow-x: auto; line-height: 1.4;"
_QUIET = "opacity: 0.75; font-size: 0.9em;"


def html_of(sheet: Sheet) -> str:
    """HTML of a sheet, with the verdict first.

    Examples
    --------
    >>> from .sheets import Number
    >>> page = html_of(Sheet("ok", ("Fine.",), "a <b> of $", ("name", "value"), (("<i>", Number(2.0)),)))
    >>> "<b>ok</b> Fine." in page, "a &lt;b&gt; of $" in page, "&lt;i&gt;" in page
    (True, True, True)
    """
    # without these classes a notebook would set what stands between two dollars as a formula
    return "\n".join([
        f'<div class="scalefit tex2jax_ignore mathjax_ignore" style="{_WIDTH}">',
        *_verdict(sheet),
        *(f'<div style="{_QUIET}">note: {_text(note)}</div>' for note in sheet.notes),
        *_table(sheet),
        *(f'<div style="{_QUIET}">{_text(line)}</div>' for line in sheet.footer),
        "</div>",
    ])  # fmt: skip


def _text(cell: Cell) -> str:
    words = cell.padded if isinstance(cell, Number | Ends) else str(cell)
    return escape(" ".join(visible(words).split()))


def _verdict(sheet: Sheet) -> list[str]:
    bar = f"border-left: 4px solid {_BARS.get(sheet.verdict, _DOUBT)}; padding-left: 0.6em; margin: 0.2em 0;"
    first, *more = sheet.reasons or (sheet.title,)
    lines = [f'<div style="{bar}"><b>{_text(sheet.verdict)}</b> {_text(first)}</div>']
    lines += [f'<div style="{bar}">{_text(reason)}</div>' for reason in more]
    return lines


def _table(sheet: Sheet) -> list[str]:
    title = [f'<div style="margin: 0.4em 0 0;">{_text(sheet.title)}</div>'] if sheet.reasons else []
    if not sheet.rows:
        return title
    left_out, half = max(len(sheet.rows) - MOST_ROWS, 0), MOST_ROWS // 2
    body = [_row(sheet, row) for row in (sheet.rows[:half] + sheet.rows[-half:] if left_out else sheet.rows)]
    if left_out:
        words = f"… {left_out} more, see to_frame() …"
        body.insert(half, f'<tr><td colspan="{len(sheet.header)}" style="text-align: left;">{words}</td></tr>')
    return [
        *title,
        '<table style="border-collapse: collapse; margin: 0.3em 0; font: inherit; color: inherit; '
        'font-variant-numeric: tabular-nums;">',
        f'<thead style="border-bottom: {_RULE};">{_row(sheet, sheet.header, scope="col")}</thead>',
        "<tbody>", *body, "</tbody>",
        *([f'<tfoot style="border-top: {_RULE};">', *(_row(sheet, row) for row in sheet.last), "</tfoot>"]
          if sheet.last else []),
        "</table>",
    ]  # fmt: skip


def _row(sheet: Sheet, row: tuple[Cell, ...], scope: str = "row") -> str:
    cells = []
    for place, (cell, left) in enumerate(zip(row, sheet.left, strict=True)):
        tag, names = ("th", f' scope="{scope}"') if scope == "col" or place == 0 else ("td", "")
        looks = f"text-align: {'left' if left else 'right'}; padding: 0.1em 0.8em 0.1em 0; white-space: nowrap;"
        cells.append(f'<{tag}{names} style="{looks}">{_text(cell)}</{tag}>')
    return f"<tr>{''.join(cells)}</tr>"
