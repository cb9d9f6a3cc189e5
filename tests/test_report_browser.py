"""The report in a real browser: nothing fails, nothing runs that a table holds, figures, toggles and downloads work."""

import os
import shutil

import numpy as np
import pytest

import scalefit as sf
from scalefit.reporting import report

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
NASTY = '</script><script>window.hit=1</script><img src=x onerror="window.hit=1">'
SHELL = "$(touch hit); `touch hit`"
FORMULA = "=cmd|' /C calc'!A0"

pytestmark = pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason="chromium is not at hand")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not at hand")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as made:
        running = made.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A report of a table whose names are HTML, shell and spreadsheet formulas."""
    folder = tmp_path_factory.mktemp("report")
    design = sf.grid(params=np.geomspace(1e8, 1e10, 4), tokens=np.geomspace(1e9, 1e11, 4))
    frame = sf.simulate(sf.HOFFMANN_2022, design, noise=0.004, seed=2).to_frame()
    frame["run"] = [NASTY, FORMULA, SHELL, "{{ 7*7 }}", *(f"run {row}" for row in range(4, len(frame)))]
    frame.loc[0, "loss"] *= 1.2
    frame[NASTY] = 1.0
    report(sf.LossTable.from_frame(frame), folder / "report.html", name=NASTY, resamples=100)
    return folder / "report.html"


@pytest.fixture
def page(browser, path):
    """The page, with everything that the browser complains about or asks the network for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened = context.new_page()
    opened.complaints, opened.requests = [], []
    opened.on(
        "console", lambda said: opened.complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("request", lambda asked: opened.requests.append(asked.url))
    opened.goto(path.as_uri())
    yield opened
    context.close()


def test_nothing_fails_and_nothing_is_loaded(page, path):
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [path.as_uri()]


def test_what_a_table_holds_stays_text(page):
    assert page.evaluate("window.hit === undefined")
    assert page.locator("img, iframe, object, embed").count() == 0
    assert page.locator("script").count() == 1
    assert NASTY in page.locator("p.kicker").first.inner_text()
    assert page.title().startswith(NASTY)
    names = page.locator("svg text").all_text_contents() + page.locator("td, th").all_text_contents()
    assert any("<script>" in name for name in names)  # as it was written, in figures and tables
    assert "49" not in page.locator("#runs").inner_text().split()


def test_figures_are_drawn_and_their_words_are_text(page):
    figures = page.locator("figure")
    assert figures.count() >= 9
    for figure in figures.all():
        box = figure.locator("svg").bounding_box()
        assert box["width"] > 250
        assert box["height"] > 80
        assert figure.locator("svg text").count() >= 3
        assert figure.locator("svg path, svg use").count() >= 3


def test_no_two_words_of_an_axis_overlap(page):
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll('svg [id*=xtick], svg [id*=ytick]')]
          .map(g => g.querySelector('text')).filter(t => t && t.textContent.trim())
          .map(t => [t.closest('svg'), t.getBoundingClientRect(), t.textContent])
          .filter(([svg, a], i, all) => all.some(([other, b], j) => j > i && svg === other
            && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1))
          .map(([, , text]) => text)"""
    )
    assert overlaps == []


def test_links_lead_to_what_they_name(page):
    targets = page.eval_on_selector_all("a[href^='#']", "links => links.map(link => link.getAttribute('href'))")
    assert len(targets) > 4
    for target in targets:
        assert page.locator(f"[id='{target[1:]}']").count() == 1
    page.locator("a.card").nth(2).click()
    assert page.evaluate("location.hash") == "#moves"
    assert page.locator("#moves h2").is_visible()


def test_the_theme_follows_the_system_and_the_button(browser, path):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(path.as_uri())

    def paper():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = paper()
    assert sum(map(int, dark[4:-1].split(","))) < 120
    page.locator("#theme").click()
    assert sum(map(int, paper()[4:-1].split(","))) > 700
    line = page.locator("#figure-law svg path[style*='stroke']").first
    light_ink = line.evaluate("path => getComputedStyle(path).stroke")
    page.locator("#theme").click()
    assert paper() == dark
    assert line.evaluate("path => getComputedStyle(path).stroke") != light_ink
    context.close()


def test_figures_are_saved_as_png_and_their_data_as_csv(page, tmp_path):
    figure = page.locator("#figure-influence")
    with page.expect_download() as found:
        figure.locator("button.png").click()
    found.value.save_as(tmp_path / "figure.png")
    assert found.value.suggested_filename == "influence.png"
    _check_drawn(tmp_path / "figure.png")
    with page.expect_download() as found:
        figure.locator("a.csv").click()
    found.value.save_as(tmp_path / "figure.csv")
    text = (tmp_path / "figure.csv").read_text(encoding="utf-8")
    assert found.value.suggested_filename == "influence.csv"
    assert text.startswith("row,")
    assert f"'{FORMULA}" in text  # no spreadsheet runs it
    assert page.complaints == []


def _check_drawn(path):
    """Is a PNG of several hundred pixels with more than the page's paper in it."""
    import matplotlib.image

    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 300
    colours, counts = np.unique(np.round(pixels.reshape(-1, pixels.shape[2]), 2), axis=0, return_counts=True)
    assert len(colours) > 20
    assert counts.max() < 0.99 * counts.sum()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_no_window_has_to_be_scrolled_sideways(browser, path, width):
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    context.close()


def test_details_open_on_a_click_and_on_paper(page):
    folded = page.locator("details")
    assert folded.count() >= 3
    folded.first.locator("summary").click()
    assert folded.first.locator("table").is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0


def test_it_reads_without_scripts(browser, path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("h1").is_visible()
    assert page.locator("button:visible").count() == 0  # none that would do nothing
    assert page.locator("figure svg").count() >= 9
    context.close()


def test_folded_tables_are_on_paper_without_scripts_too(browser, path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    folded = page.locator("details:not([open]) table")
    assert folded.count() >= 3
    assert not folded.first.is_visible()
    page.emulate_media(media="print")
    assert all(table.is_visible() for table in folded.all())
    context.close()


def test_folds_are_as_they_were_after_printing(page):
    page.locator("details summary").first.click()
    page.evaluate("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 1


def test_what_scrolls_and_what_is_pressed_has_a_name_of_its_own(page):
    assert page.locator(".scroll").count() >= 5
    assert page.locator(".scroll:not([tabindex='0'])").count() == 0
    pressed = page.eval_on_selector_all(".take > *", "all => all.map(one => one.getAttribute('aria-label'))")
    for names in (pressed, page.eval_on_selector_all(".scroll", "all => all.map(one => one.ariaLabel)")):
        assert all(names)
        assert len(set(names)) == len(names)
