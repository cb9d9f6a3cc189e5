"""The report: every kind of table gives a page, numbers are made again, nothing from a table is markup or a formula."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache, lru_cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import scalefit as sf
from scalefit.choosing import choose_model
from scalefit.inlining import count, number, to_csv
from scalefit.pages import render
from scalefit.recipes import differences, read_recipe
from scalefit.report_command import report_command
from scalefit.reporting import report
from scalefit.studies import Settings, study

app = typer.Typer()
app.command("report")(report_command)
app.command("other")(lambda: None)

FEW = 80  # resamples: these tests are about the page, not about its numbers
NASTY = "<script>alert(1)</script>\"'&$(rm -rf ~);`id`</title>"
FORMULA = '=HYPERLINK("http://example.org","x")'


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)], env={"COLUMNS": "100", "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def plane():
    design = sf.grid(params=np.geomspace(1e8, 1e10, 5), tokens=np.geomspace(1e9, 1e11, 4))
    return sf.simulate(sf.HOFFMANN_2022, design, noise=0.004, seed=1)


@pytest.fixture(scope="module")
def plane_page(plane, tmp_path_factory):
    """Folder of a report of a plane table whose runs are named in HTML and shell."""
    frame = plane.to_frame()
    frame["run"] = [NASTY, FORMULA, *(f"run {row}" for row in range(2, len(frame)))]
    frame.loc[0, "loss"] *= 1.2  # so that the name is shown
    frame["<img src=x onerror=alert(2)>"] = 1.0
    folder = tmp_path_factory.mktemp("plane")
    made = report(sf.LossTable.from_frame(frame), folder / "report.html", name=NASTY, resamples=FEW)
    return folder, made


class Reader(HTMLParser):
    """Elements, their ids and links, and the text of each kind."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.links, self.text, self.attributes = [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes += found
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[name] for name in ("href", "src") if name in found]

    def handle_data(self, data):
        self.text.append(data)


def test_a_page_loads_nothing_and_its_links_lead_somewhere(plane_page):
    folder, _ = plane_page
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Reader(html)
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert len(inside) > 10
    assert set(inside) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:text/csv")) for link in page.links)
    assert not {"link", "iframe", "img", "object", "base"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert "url(http" not in html
    assert re.search(r"content=\"default-src 'none'", html)


def test_what_a_table_holds_stays_text(plane_page):
    folder, _ = plane_page
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Reader(html)
    assert "<script>alert" not in html
    assert not [name for name in page.attributes if name.startswith("on")]
    assert NASTY in "".join(page.text)  # as text: the name of the table
    assert any("<script>alert(1)" in text for text in page.text)


def test_the_csv_of_a_figure_has_no_formulas(plane_page):
    from urllib.parse import unquote

    folder, _ = plane_page
    links = Reader((folder / "report.html").read_text(encoding="utf-8")).links
    tables = [unquote(link.split(",", 1)[1]) for link in links if link.startswith("data:text/csv")]
    assert len(tables) >= 8
    rows = [row for table in tables for row in csv.reader(io.StringIO(table))]
    assert any("HYPERLINK" in cell for row in rows for cell in row)
    for cell in (cell for row in rows for cell in row):
        if cell[:1] in "=+-@" and cell:
            float(cell)  # a number, or an error


@pytest.mark.parametrize("text", ["=1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "|x", "%x"])
def test_texts_that_a_spreadsheet_would_run_get_an_apostrophe(text):
    (_, (cell, value)) = csv.reader(io.StringIO(to_csv(pd.DataFrame({"run": [text], "loss": [-1.5]})), newline=""))
    assert cell == f"'{text}"
    assert value == "-1.5"


def test_the_first_screen_answers_the_four_questions(plane_page):
    folder, made = plane_page
    text = " ".join("".join(Reader((folder / "report.html").read_text(encoding="utf-8")).text).split())
    for words in ("What are the laws?", "How sure is that?", "What moves the answer?", "What should I train next?"):
        assert words in text
    low, high = made.headline
    assert f"a is {number(low, 3)} to {number(high, 3)}" in text
    plan = made.found["plan"].answers[2].numbers
    assert f"{count(plan['params'])} parameters on {count(plan['tokens'])} tokens" in text


def test_doubts_and_windows_are_told_as_they_are(plane_page):
    _, made = plane_page
    found = page(made)
    assert "In doubt: no clusters." in found.cards[1].lines
    moves = next(section for section in found.sections if section.name == "moves")
    assert moves.tables[0].head[0] == "fit"  # some windows name what is left out, others what is kept
    assert any(str(row[0]).endswith("alone") for row in moves.tables[0].rows)
    checks = next(section for section in found.sections if section.name == "checks")
    rivals = next(table for table in checks.tables if "other formulas" in table.title)
    assert [row[3] for row in rivals.rows if row[0] == "the law"] == ["\u2013"]
    (said,) = (words for words in checks.paragraphs if "lie within" in words)
    assert "as they should" not in said  # cuts of one table are no proof of that


def test_next_runs_are_rough_where_no_interval_is_given(plane):
    made = study(plane, "few resamples", Settings(resamples=20))
    assert made.headline.refused
    plan = next(section for section in page(made).sections if section.name == "plan")
    assert "this is rough" in plan.tables[1].note
    assert "the band" not in " ".join(figure.caption for figure in plan.figures)


def test_a_plan_of_several_runs_is_not_told_as_its_first(plane_page):
    _, made = plane_page
    others = len(made.found["next_runs"].plan) - 1
    assert others > 0
    assert f" tokens, with {others} more run" in " ".join(map(str, page(made).cards[3].lines))


def test_the_plan_says_what_its_frontier_says(plane_page):
    _, made = plane_page
    plan = made.found["plan"]
    noted = replace(plan, frontier=replace(plan.frontier, notes=("a word.",)))
    sections = page(replace(made, found={**made.found, "plan": noted})).sections
    assert "a word." in next(section for section in sections if section.name == "plan").paragraphs


def test_every_analysis_is_there_or_says_why(plane_page):
    _, made = plane_page
    from scalefit.analyses import ANALYSES

    assert set(made.found) | set(made.missing) == set(ANALYSES)
    assert not set(made.found) & set(made.missing)
    assert set(made.missing) == {"curve", "noise", "network"}
    assert all(words.endswith(".") for words in made.missing.values())


def test_numbers_have_four_digits_at_most(plane_page):
    folder, _ = plane_page
    html = (folder / "report.html").read_text(encoding="utf-8")
    shown = re.sub(
        r'href="data:[^"]*"|<script>.*?</script>|<style>.*?</style>|<svg .*?</svg>|<dl.*?</dl>', "", html, flags=re.S
    )
    cells = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", shown, flags=re.S)]
    for digits in (number_ for cell in cells for number_ in re.findall(r"\d+\.\d+", cell)):
        assert len(digits.replace(".", "").strip("0")) <= 4, digits


def test_a_report_made_again_has_the_same_numbers(plane_page, tmp_path):
    folder, made = plane_page
    recipe = read_recipe(folder / "report.json")
    again = study(recipe.table, recipe.name, recipe.settings)
    total, moved = differences(recipe.numbers, again.to_dict())
    assert total > 300
    assert moved == []
    assert recipe.settings.resamples == FEW
    assert again.headline == made.headline


def test_differences_are_seen():
    old = {"a": [1.0, {"b": 2.0}], "words": "x", "c": None}
    assert differences(old, old) == (2, [])
    assert differences(old, {"a": [1.0, {"b": 2.1}], "words": "y", "c": None}) == (2, ["a[1].b: 2.0 then, 2.1 now"])
    assert differences(old, {"a": [1.0, {}], "c": 1.0})[1] == ["a[1].b: 2.0 then, None now", "c: None then, 1.0 now"]


def test_equal_reports_are_equal_files(tmp_path):
    runs = sf.load("pythia").where("kept")
    for name in ("one", "two"):
        report(runs, tmp_path / f"{name}.html", name="pythia", resamples=FEW)
    first, second = ((tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in ("one", "two"))
    assert first == second.replace("two.json", "one.json")


@pytest.mark.parametrize("name", ["pythia", "pythia_cerebras"])
def test_a_table_of_params_alone_says_what_cannot_be_had(name):
    table = sf.load(name)
    made = study(table.where("kept") if "kept" in table else table, name, Settings(resamples=FEW))
    assert made.fit.inputs == ("params",)
    assert "plan" in made.missing
    html = render(page(made))
    assert "needs runs over params and tokens" in html
    assert "<figure" in html
    assert "Traceback" not in html


@lru_cache(maxsize=1)  # its figures take a second
def page(made):
    from scalefit.answering import page_of

    return page_of(made)


def test_six_runs_have_no_interval_and_the_page_says_why():
    made = study(sf.load("pythia").where("kept"), "pythia", Settings())
    html = render(page(made))
    assert made.headline.refused
    assert "No interval can be given" in html
    assert "too few distinct resamples" in html
    assert 'href="#word-doubt-too-few-draws"' in html
    assert 'id="word-doubt-too-few-draws"' in html


def test_flops_alone_and_few_rows():
    flops = np.geomspace(1e18, 1e21, 4)
    made = study(
        sf.LossTable.from_frame(pd.DataFrame({"flops": flops, "loss": 1.7 + 900 * flops**-0.15})),
        "four",
        Settings(resamples=FEW),
    )
    assert made.fit.inputs == ("flops",)
    assert "C<sup>" in render(page(made))


def test_a_diverged_run_is_named_on_the_first_screen(plane):
    frame = plane.to_frame().assign(run=[f"run {row}" for row in range(len(plane))])
    frame.loc[7, "loss"] *= 1.15
    made = study(sf.LossTable.from_frame(frame), "one bad", Settings(resamples=30))
    moves = page(made).cards[2]
    assert "run 7" in " ".join(moves.lines)


def test_a_moving_window_is_the_headline(chinchilla, tmp_path):
    made = study(chinchilla.where("kept"), "chinchilla", Settings(resamples=60))
    found = page(made)
    assert "0.514" in found.headline
    assert "0.412" in found.headline  # what noise does not explain: it moves the furthest, 0.356, by 0.4
    assert "without the runs below" in found.headline
    assert found.cards[2].tone == "warn"
    assert "Furthest: 0.356" in " ".join(found.cards[2].lines)
    rows = made.found["windows"].to_frame().set_index("low")["estimate"]
    assert rows[1e20] == pytest.approx(0.3755, abs=1e-4)


def test_the_law_that_a_table_can_hold_is_chosen(plane):
    assert choose_model(plane).inputs == ("params", "tokens")
    along = sf.simulate(
        sf.HOFFMANN_2022,
        sf.grid(params=np.geomspace(1e8, 1e10, 8)).assign(tokens=lambda f: 20 * f["params"]),
        noise=1e-3,
    )
    chosen = choose_model(along)
    assert chosen.inputs == ("params",) or chosen.inputs == ("flops",)
    assert "move together" in chosen.notes[0]
    with pytest.raises(ValueError, match="no input varies"):
        choose_model(sf.LossTable.from_frame(pd.DataFrame({"params": [1e8, 1e8], "loss": [3.0, 3.1]})))
    with pytest.raises(TypeError, match="a report is of a law"):
        choose_model(plane, sf.AnovaKernelRidge())


# What the page says of fits that are fixed, not ok, or of other inputs.


@pytest.fixture(scope="module")
def line():
    flops = np.geomspace(1e18, 1e21, 12)
    loss = (1.7 + 900 * flops**-0.15) * np.exp(np.random.default_rng(0).normal(0, 0.003, 12))
    return sf.LossTable.from_frame(pd.DataFrame({"flops": flops, "loss": loss}))


def words_of(made):
    return " ".join("".join(Reader(render(page(made))).text).split())


def test_the_exponent_of_the_headline_is_the_exponent_though_it_is_fixed(line):
    made = study(line, "fixed", Settings(sf.LawRegressor(sf.PowerLaw, fixed={"alpha": 0.15}), resamples=FEW))
    assert made.headline.statistic == "E"
    assert "Loss falls as C<sup>\u22120.15</sup>" in page(made).headline


def test_a_number_that_is_fixed_has_no_interval_and_is_not_moved(plane):
    model = sf.LawRegressor(sf.Chinchilla, fixed={"alpha": 0.34, "beta": 0.28})
    found = page(study(plane, "fixed", Settings(model, resamples=FEW)))
    assert found.cards[1].answer == "a is 0.452"
    assert "All draws are equal" in found.cards[1].lines[0]
    assert found.cards[2].answer == "Nothing moves a"
    assert "e-" not in found.sections[1].headline


def test_a_fit_that_is_not_ok_is_not_headlined_as_a_law(plane):
    rows = plane.to_frame().iloc[[0, 2, 9, 14, 19]]
    made = study(sf.LossTable.from_frame(rows), "five", Settings(resamples=FEW))
    found = page(made)
    assert not made.fit.ok
    assert "but the fit is not ok" in found.headline
    assert "The fit is not ok" in " ".join(found.cards[3].lines)
    assert "No run lies off" not in words_of(made)  # nothing is known of that


def test_a_law_of_params_and_flops_has_a_page(plane):
    frame = plane.to_frame()
    law = 1.7 + 400 * frame["params"] ** -0.34 + 1e4 * frame["flops"] ** -0.2
    frame["loss"] = law * np.exp(np.random.default_rng(0).normal(0, 0.004, len(frame)))
    made = study(sf.LossTable.from_frame(frame), "other inputs", Settings(inputs=("params", "flops"), resamples=FEW))
    assert made.fit.inputs == ("params", "flops")
    assert made.fit.ok
    text = words_of(made)
    assert "The law is L =" in page(made).headline
    assert "unpack" not in " ".join((text, *made.missing.values()))


def test_two_sizes_are_too_few_and_do_not_move_together():
    design = sf.grid(params=[1e8, 1e10], tokens=np.geomspace(1e9, 1e11, 6))
    chosen = choose_model(sf.simulate(sf.HOFFMANN_2022, design, noise=0.004))
    assert chosen.inputs == ("flops",)
    assert "too few values" in chosen.notes[0]


def test_captions_speak_of_what_is_drawn():
    table = sf.load("pythia").where("kept")
    text = words_of(study(table, "six", Settings(resamples=FEW)))
    assert "with their interval" not in text
    assert "resamples in each" not in text  # no window had any
    assert "too few runs to leave some out" not in text  # single runs are


def test_words_of_a_figure_are_not_taken_for_its_code():
    from scalefit.inlining import drawn

    name = '#010101 id="x" xlink:href font-family: y;'
    svg = drawn("one", "", "", lambda ax: ax.set_title(name), pd.DataFrame()).svg
    assert name in svg.replace("&quot;", '"')


@pytest.mark.parametrize("text", ["\uff1d1+1", "\uff0b1", "\uff20SUM(A1)"])
def test_wide_signs_are_formulas_too(text):
    assert to_csv(pd.DataFrame({"run": [text]})) == f"run\r\n'{text}\r\n"


def test_marks_of_a_narrow_axis_are_round():
    from scalefit.inlining import marks

    assert marks(0.75, 1.35) == [0.8, 1.0, 1.2]


# The command.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    design = sf.grid(params=np.geomspace(1e8, 1e10, 7))
    sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), design, noise=0.003).to_frame().to_csv("runs.csv", index=False)
    return tmp_path


@cache
def report_json():
    """What the command writes beside the page of the runs in the folder of the first test that asks."""
    run("runs.csv", "-o", "a.html", "--resamples", 10, "--delta", "0.01")
    Path("a.html").unlink()
    return Path("a.json").read_text()


@pytest.fixture
def made(folder):
    """The folder with a.json of its runs."""
    Path("a.json").write_text(report_json())
    return folder


def test_the_command_writes_both_files_and_makes_them_again(folder):
    made = run("runs.csv", "-o", "a.html", "--law", "power", "--delta", "0.01")
    assert made.exit_code == 3, made.output  # seven rows have no interval
    assert (folder / "a.html").exists()
    kept = (folder / "a.json").read_text()
    again = run("--from", "a.json", "-o", "a.html")
    assert again.exit_code == 3, again.output
    assert re.search(r"all \d\d+ numbers are those of a.json", again.stderr)
    assert (folder / "a.json").read_text() == kept
    assert json.loads(kept)["settings"]["model"]["objective"]["delta"] == 0.01


def test_a_table_that_changed_is_told(made):
    frame = pd.read_csv("runs.csv")
    frame.loc[3, "loss"] += 0.005
    frame.to_csv("runs.csv", index=False)
    again = run("--from", "a.json", "-o", "b.html")
    assert "has changed since a.json was made" in again.stderr
    assert re.search(r"all \d\d+ numbers are those of a.json", again.stderr)  # of the rows that were kept
    assert "has changed since" in (made / "b.html").read_text(encoding="utf-8")
    other = run("runs.csv", "--from", "a.json", "-o", "c.html")
    assert "its protocol on other data" in other.stderr
    assert json.loads((made / "c.json").read_text())["settings"]["resamples"] == 10


@pytest.mark.usefixtures("made")
def test_a_report_json_that_someone_changed_is_refused():
    content = json.loads(Path("a.json").read_text())
    content["table"]["columns"]["loss"][0] += 0.01
    Path("a.json").write_text(json.dumps(content))
    again = run("--from", "a.json", "-o", "b.html")
    assert again.exit_code == 1
    assert "someone changed the file" in again.stderr
    assert not Path("b.html").exists()


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("part", "value"),
    [
        (("source",), []),
        (("numbers",), None),
        (("settings", "inputs"), "params"),
        (("settings", "network"), "yes"),
        (("settings", "model", "fixed"), [1]),
        (("settings", "model", "law"), "os.system"),
        (("table", "notes"), "<b>"),
        (("table", "columns", "loss"), [1.0]),
    ],
)
def test_a_report_json_with_a_part_of_another_kind_is_damaged(part, value):
    content = json.loads(Path("a.json").read_text())
    *way, last = part
    inner = content
    for key in way:
        inner = inner[key]
    inner[last] = value
    Path("a.json").write_text(json.dumps(content))
    again = run("--from", "a.json", "-o", "b.html")
    assert again.exit_code == 1
    assert "a.json is damaged" in again.stderr
    assert not Path("b.html").exists()


def test_a_report_json_of_endless_depth_is_refused(folder):
    Path("a.json").write_text("[" * 100_000)
    again = run("--from", "a.json", "-o", "b.html")
    assert "a.json is no report.json" in again.stderr


def test_a_json_file_of_somebody_else_is_not_replaced(folder):
    Path("a.json").write_text('{"mine": 1}')
    result = run("runs.csv", "-o", "a.html", "--resamples", FEW)
    assert result.exit_code == 1
    assert "a.json is there already and is no report.json" in " ".join(result.stderr.split())
    assert Path("a.json").read_text() == '{"mine": 1}'
    assert not Path("a.html").exists()


def test_a_folder_is_no_page(folder):
    Path("a.html").mkdir()
    assert "it is a folder" in run("runs.csv", "-o", "a.html").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], 1, "no file 'nope'"),
        (["runs.csv", "-o", "a.txt"], 1, "must end in .html"),
        (["runs.csv", "-o", "no/a.html"], 1, "no folder"),
        (["runs.csv", "--level", "95"], 2, "must be between 0 and 1"),
        (["runs.csv", "--seed", "-1"], 2, "--seed"),
        (["runs.csv", "--by", "nope", "-o", "a.html"], 1, "nope"),
        (["runs.csv", "--weights", "nope", "-o", "a.html"], 1, "nope"),
        (["--from", "runs.csv", "-o", "a.html"], 1, "is no report.json"),
        (["--from", "nope.json", "-o", "a.html"], 1, "nope.json"),
        (["--from", "a.json", "--seed", "3"], 2, "is said by the file of --from"),
        (["runs.csv", "--where", "params > 1e99", "-o", "a.html"], 1, "leave"),
    ],
)
def test_bad_input_is_one_message(folder, arguments, code, words):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.stderr.split())
    assert not list(folder.glob("*.html"))
    assert not list(folder.glob(".*partial"))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"table": "pythia"}, TypeError, "needs a LossTable"),
        ({"path": "a.pdf"}, ValueError, "must end in .html"),
        ({"path": "/no/such/folder/a.html"}, OSError, "no folder"),
        ({"resamples": 0}, ValueError, "resamples"),
        ({"seed": -1}, ValueError, "seed"),
        ({"level": 95}, ValueError, "level"),
        ({"inputs": "nope"}, ValueError, "nope"),
        ({"weights": "nope"}, ValueError, "nope"),
        ({"model": sf.AnovaKernelRidge()}, TypeError, "a report is of a law"),
        ({"scheme": sf.Wild(by="nope")}, ValueError, "nope"),
    ],
)
def test_bad_input_of_the_verb(tmp_path, monkeypatch, arguments, error, words):
    monkeypatch.chdir(tmp_path)
    given = {"table": sf.load("pythia"), **arguments}
    with pytest.raises(error, match=words):
        report(given.pop("table"), given.pop("path", "a.html"), **given)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_report_leaves_no_file(folder, monkeypatch):
    import scalefit.studies as studies

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies, "ANALYSES", {"plan": ("looking", interrupt)})
    result = run("runs.csv", "-o", "a.html", "--resamples", FEW)
    assert result.exit_code == 130
    assert sorted(path.name for path in folder.iterdir()) == ["runs.csv"]


def test_without_a_table_a_data_set_that_ships_is_reported(tmp_path):
    result = run("-o", tmp_path / "a.html", "--resamples", 300)
    assert result.exit_code == 0, result.output
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<title>er_small" in html
    assert "width &gt;= 24" in html  # the part that is useful


def test_help_loads_neither_pandas_nor_jinja():
    code = (
        "import sys; from scalefit.report_command import report_command\n"
        "print([name for name in ('pandas', 'jinja2', 'matplotlib', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_budget_that_is_asked_is_the_answer(tmp_path, plane):
    made = sf.report(plane, tmp_path / "a.html", resamples=30, budget=5e21)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    best = sf.compute_optimal(made.fit, 5e21)
    assert made.found["plan"].answers[-1].flops == 5e21
    assert f"<sup>21</sup> FLOPs, {number(best.loss[0])} nats" in page
    again = read_recipe(tmp_path / "a.json")
    assert again.settings.budget == 5e21
    for budget in (0, -1e20, float("nan"), True, "1e22"):
        with pytest.raises(ValueError, match="budget must be a positive, finite number"):
            sf.report(plane, tmp_path / "b.html", budget=budget)


def test_a_size_all_of_whose_runs_lie_off_is_on_the_first_screen(tmp_path):
    design = sf.grid(params=np.geomspace(6e7, 4e9, 8), tokens=np.geomspace(2e9, 2e11, 5))
    frame = sf.simulate(sf.HOFFMANN_2022, design, noise=0.003).to_frame()
    odd = frame["params"] == np.unique(frame["params"])[4]
    frame.loc[odd, "loss"] *= 1.02
    made = sf.report(sf.LossTable.from_frame(frame), tmp_path / "a.html", resamples=30)
    without = sf.allocation_exponent(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame[~odd])))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    words = r"The 5 runs of \d+M parameters lie off together, ([\d.]+) % above the others; without them a is ([\d.]+)\."
    found = re.search(words, page)
    assert found is not None
    assert float(found[1]) == pytest.approx(2, abs=0.4)  # three standard errors of a mean of five
    assert float(found[2]) == pytest.approx(without, abs=5e-4)
    assert made.found["influence_by_size"].suspects.iloc[0]["rows"] == 5
