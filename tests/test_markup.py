"""HTML of results: status first, text that stays text, no colour, script or style of its own."""

import re
from html.parser import HTMLParser

import pytest

import scalefit as sf
from scalefit.markup import MOST_ROWS, html_of
from scalefit.sheets import Ends, Number, PlusMinus, Sheet, Symbol, by_error, padded

NASTY = "<script>alert('1')</script> & \"$x$\" $(rm -rf ~) \x1b[31m \u202e"
SHEET = Sheet("NOT OK", ("first", "second"), "title", ("name", "value"), (("a", Number(1.5)), ("b", Number(2.25))))


class Outline(HTMLParser):
    """Tags, attributes and text of a page; every tag is closed in order."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words, self.attributes, self._open = [], [], [], []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words += [data.strip()] if data.strip() else []


def test_the_verdict_comes_first_and_every_reason_after_it():
    assert Outline(html_of(SHEET)).words[:4] == ["NOT OK", "first", "second", "title"]


def test_a_verdict_without_reasons_is_followed_by_the_title_once():
    words = Outline(html_of(Sheet("ok", (), "title", ("",), (("a",),)))).words
    assert words == ["ok", "title", "a"]


def test_every_text_is_escaped_and_shown_as_it_is():
    cells = ((NASTY, Symbol(NASTY)),)
    page = html_of(Sheet(NASTY, (NASTY, NASTY), NASTY, (NASTY, NASTY), cells, cells, (NASTY,), (NASTY,)))
    outline = Outline(page)
    assert set(outline.tags) == {"div", "b", "table", "thead", "tbody", "tfoot", "tr", "th", "td"}
    assert {name for name, _ in outline.attributes} == {"class", "style", "scope"}
    shown = " ".join(outline.words)
    assert shown.count("<script>alert('1')</script> & \"$x$\" $(rm -rf ~) \\x1b[31m \\u202e") == 12
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_notebook_sets_no_formula_between_dollars():
    (classes,) = [value for name, value in Outline(html_of(SHEET)).attributes if name == "class"]
    assert {"tex2jax_ignore", "mathjax_ignore"} <= set(classes.split())


def test_text_and_ground_have_the_colours_of_the_reader():
    for name, style in Outline(html_of(SHEET)).attributes:
        if name == "style":
            assert not re.search(r"background|(?<![-\w])color: (?!inherit)|url|@import", style)


@pytest.mark.parametrize(("rows", "shown"), [(1, 1), (MOST_ROWS, MOST_ROWS), (MOST_ROWS + 1, MOST_ROWS + 1), (500, 21)])
def test_a_long_table_shows_its_ends_and_says_how_much_is_between(rows, shown):
    cells = tuple((f"row {row}", Number(row, 6)) for row in range(rows))
    page = html_of(Sheet("ok", (), "", ("", ""), cells))
    assert page.count("<tr>") == shown + 1
    assert ("row 0" in page, f"row {rows - 1}<" in page) == (True, True)
    assert (f"… {rows - MOST_ROWS} more, see to_frame() …" in page) == (rows > MOST_ROWS)


def test_a_sheet_without_rows_has_no_table():
    assert "table" not in Outline(html_of(Sheet("ok", ("fine",), "no parameters", ("",), ()))).tags


def test_words_start_at_the_left_and_numbers_end_at_the_right():
    page = html_of(Sheet("ok", (), "", ("a", "b"), (("x", Number(1.0)),)))
    assert re.findall(r"<t[hd][^>]*text-align: (\w+)[^>]*>([^<]*)<", page) == [
        ("left", "a"), ("right", "b"), ("left", "x"), ("right", "1"),
    ]  # fmt: skip


# Numbers.


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (553.7, 163.0, "550"),
        (0.26481, 0.0152, "0.265"),
        (0.35751, 0.0961, "0.358"),
        (0.35751, 0.0996, "0.36"),  # the error is 0.10
        (65.01, 4860.0, "65"),
        (1.7971e9, 2.1e8, "1.80e+09"),
        (-0.0052134, 0.0011, "-0.0052"),
        (3.1e-7, 2.2e-8, "3.10e-07"),
        (2.3, 1e-13, "2.30000"),
        (0.0, 0.23, "0.00"),
        (1.9999, 0.012, "2.000"),
        (float("nan"), 0.1, "-"),
        (float("inf"), 0.1, "inf"),
    ],
)
def test_a_number_has_two_digits_of_its_error_and_two_to_six_of_its_own(value, error, words):
    assert by_error(value, error) == words
    assert Number(value, error=error).rounded == words


@pytest.mark.parametrize("error", [float("nan"), 0.0, float("inf")])
def test_a_number_without_an_error_keeps_its_digits(error):
    assert Number(2.0498, error=error).rounded == "2.050"


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(2.0498, 4, "2.050"), (128.0, 4, "128"), (1e20, 4, "1e+20"), (12345.6, 4, "1.235e+04"), (0.1 + 0.2, 4, "0.3"),
     (123456.7, 6, "123457"), (float("nan"), 4, "-"), (float("-inf"), 4, "-inf"), (0.0, 4, "0")],
)  # fmt: skip
def test_zeros_at_the_end_stand_for_digits(value, digits, words):
    assert padded(value, digits) == words


def test_ends_are_refused_where_they_are_nan_alone():
    assert str(Ends(float("nan"), float("nan"))) == Ends(float("nan"), 1.0).padded == "refused"
    assert str(Ends(0.5, float("inf"))) == "0.5 to inf"


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [(6.0912e-4, 6.3e-5, "(6.09 ± 0.63)e-04"), (9.43, 1.81, "9.4 ± 1.8"), (70.3, 29.6, "70 ± 30"), (1.0, 0.0, "1"),
     (3.2e15, 1e14, "(3.20 ± 0.10)e+15"), (float("nan"), 1.0, "-")],
)  # fmt: skip
def test_a_number_and_its_error_have_the_same_power(value, error, words):
    assert str(PlusMinus(value, error)) == words


def test_results_know_the_same_numbers_in_html_and_in_print():
    fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    for value in fit.parameters.values():
        assert f"{value:.6g}" in fit._repr_html_()
        assert f"{value:.6g}" in repr(fit)
