"""The command line: exit codes, one message for every bad input, strict JSON, text of users shown as it is."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from command_line import message, process, run, save, strict, work_in, write
from golden_files import check_golden
from scalefit.cli import Against
from scalefit.interval_options import MOST_RESAMPLES, MethodName
from scalefit.intervals import METHODS
from scalefit.laws import LAWS
from scalefit.options import CurveLaw, LawName
from scalefit.redrawing import MOST_RESAMPLES as MOST
from scalefit.screens import LISTED
from scalefit.terminal import in_shell, visible

PYTHIA = ["fit", "pythia", "--law", "power", "--inputs", "params", "--where", "kept"]
CURVES = ["curves", "grid.csv", "--along", "params", "--at", "tokens"]
GRID = ["fit", "grid.csv"]
FORECAST = ["--predict", "params=1e11,tokens=2e12"]
NEEDS_DEV_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    return work_in(tmp_path, monkeypatch)


# What is printed.


def test_fit_prints_status_first():
    result = run(*PYTHIA)
    assert result.exit_code == 0
    assert result.stderr == ""
    check_golden("fit_pythia", result.stdout)


def test_fit_with_fixed_and_tied_parameters():
    result = run("fit", "grid.csv", "--fix", "E=1.69", "--tie", "beta=alpha", "--objective", "squared")
    assert result.exit_code == 0
    check_golden("fit_fixed_tied", result.stdout)


def test_not_ok_is_printed_and_is_exit_code_3():
    x = np.geomspace(1e6, 1e9, 7)
    save(pd.DataFrame({"params": x, "loss": 10 - 0.4 * np.log(x)}), "falling.csv")
    result = run("fit", "falling.csv", "--law", "power", "-o", "fit.json")
    assert result.exit_code == 3
    check_golden("fit_not_ok", result.stdout)
    assert sf.read_fit("fit.json").status is sf.Status.E_AT_ZERO


def test_curves_print_a_row_per_slice():
    result = run(*CURVES)
    assert result.exit_code == 0
    check_golden("curves", result.stdout)


def test_datasets_print_conventions_and_defects():
    result = run("datasets")
    assert result.exit_code == 0
    check_golden("datasets", result.stdout)


def test_dropped_rows_are_listed():
    write("runs.csv", "N,loss\n1e6,4\nten,3\n1e8,-1\n1e9,2.5\n1e10,2.2\n1e11,2.1\n")
    result = run("fit", "runs.csv", "--law", "power", "--drop-invalid")
    check_golden("fit_dropped", result.stdout)
    assert json.loads(run("fit", "runs.csv", "--law", "power", "--drop-invalid", "--json").stdout)["dropped"] == [
        "line 3 of runs.csv: params is the text 'ten'",
        "line 4 of runs.csv: loss is -1.0",
    ]


def test_a_long_list_of_dropped_rows_is_cut_and_says_so():
    broken = "".join(f"1e6,{-k}\n" for k in range(1, LISTED + 4))
    write("runs.csv", "N,loss\n1e6,4\n1e8,3\n1e9,2.5\n1e10,2.2\n" + broken)
    assert "and 3 more; --json lists all" in run("fit", "runs.csv", "--law", "power", "--drop-invalid").stdout


def test_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"scalefit {sf.__version__}\n")


@pytest.mark.parametrize("command", [(), ("fit",), ("curves",), ("datasets",)])
def test_help_names_the_options(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "--help" in result.stdout


def test_a_narrow_screen_loses_no_number():
    shown = run(*PYTHIA, COLUMNS="30").stdout
    assert all(number in shown for number in ("1.04662", "22.6448", "0.148591"))
    assert max(map(len, shown.splitlines())) <= 30


def test_a_narrow_screen_loses_no_interval():
    wide, narrow = (run(*GRID, "--interval", *FORECAST, COLUMNS=width).stdout for width in ("120", "50"))
    numbers = re.compile(r"\d[\d.e+-]*\d")
    told = wide[wide.index("estimate") : wide.index("objective")]
    assert len(numbers.findall(told)) > 20
    assert set(numbers.findall(told)) <= set(numbers.findall(narrow))
    assert max(map(len, narrow.splitlines())) <= 50


def test_commands_offer_every_law():
    assert {name.value for name in LawName} == set(LAWS)
    assert {name.value for name in CurveLaw} == {name for name, law in LAWS.items() if law.n_inputs() == 1}
    assert {name.value for name in Against} == {*CurveLaw, "none"}


# The table.


def test_an_existing_path_wins_over_a_data_set():
    write("pythia", "N,loss\n1e6,4\n1e8,3\n")
    assert "ends in ''" in message(run(*PYTHIA))


def test_neither_a_file_nor_a_data_set():
    words = message(run("fit", "pythai"))
    assert "no file 'pythai'" in words
    assert "Did you mean the data set 'pythia'?" in words
    assert "Did you mean the file 'grid.csv'?" in message(run("fit", "gird.csv"))


def test_options_of_the_table_reach_it():
    write("runs.csv", "size,D,val_loss\n1e8,2e9,3.2\n1e9,2e10,2.6\n1e10,2e11,2.3\n1e11,2e12,2.2\n1e12,2e13,2.15\n")
    options = ["--columns", "params=size", "--flops", "6ND", "--where", "flops < 1e25"]
    result = run("fit", "runs.csv", "--law", "power", "--inputs", "flops", "--json", *options)
    assert json.loads(result.stdout)["protocol"]["table"]["notes"] == [
        "params is the column 'size' (columns=)",
        "tokens is the column 'D' (recognised)",
        "loss is the column 'val_loss' (recognised)",
        "flops derived from params and tokens by the rule 6ND, C = 6 N D",
        "where flops < 1e25: 4 of 5 rows",
    ]


def test_a_data_set_can_be_mapped():
    total = run(*PYTHIA, "--columns", "params=params_total", "--json")
    assert json.loads(total.stdout)["parameters"]["alpha"] == pytest.approx(0.41845, abs=1e-5)  # with total parameters


def test_weights_count_as_frequencies():
    frame = sf.load("pythia").to_frame().assign(count=2.0)
    frame.to_csv("runs.csv", index=False)
    options = ["--law", "power", "--inputs", "params", "--json"]
    once, twice = (
        json.loads(run("fit", "runs.csv", *options, *weights).stdout) for weights in ([], ["--weights", "count"])
    )
    assert twice["objective_value"] == pytest.approx(2 * once["objective_value"], rel=1e-9)
    assert twice["protocol"]["weights"] == "count"


def test_a_missing_column_names_the_laws_that_can_be_fitted():
    write("runs.csv", "N,loss\n1e6,4\n1e8,3\n")
    words = message(run("fit", "runs.csv"))
    assert "Chinchilla needs params and tokens" in words
    assert "--law power --inputs params" in words
    assert "--inputs params" in message(run("fit", "pythia", "--law", "power"))


# The model.


@pytest.mark.parametrize(
    ("options", "objective"),
    [
        ([], {"name": "Huber", "space": "log", "delta": 1e-3}),
        (["--delta", "0.01"], {"name": "Huber", "space": "log", "delta": 0.01}),
        (["--objective", "squared"], {"name": "Squared", "space": "log"}),
        (["--objective", "absolute", "--space", "raw"], {"name": "Absolute", "space": "raw"}),
    ],
)
def test_options_change_only_what_they_name(options, objective):
    assert json.loads(run("fit", "grid.csv", "--json", *options).stdout)["protocol"]["objective"] == objective


@pytest.mark.parametrize("rule", ["mad_of_loss", "mad_of_residuals"])
def test_delta_may_be_a_rule(rule):
    assert json.loads(run("fit", "grid.csv", "--json", "--delta", rule).stdout)["protocol"]["delta_rule"] == rule


@pytest.mark.parametrize(("law", "rival"), [("power", "exponential"), ("exponential", "power")])
def test_curves_are_compared_with_the_other_law(law, rival):
    against = json.loads(run(*CURVES, "--law", law, "--json").stdout)["against"]
    assert against["law"] == rival
    ratios = [row["ratio"] for row in against["slices"]]
    assert all(ratio > 1 for ratio in ratios) if law == "power" else all(ratio < 1 for ratio in ratios)


def test_curves_need_not_be_compared():
    result = run(*CURVES, "--against", "none")
    assert result.exit_code == 0
    assert "ratio" not in result.stdout


def test_curves_that_are_not_ok_are_exit_code_3():
    x = np.geomspace(1e6, 1e9, 7)
    save(pd.DataFrame({"params": x, "tokens": 1e10, "loss": 10 - 0.4 * np.log(x)}), "grid.csv")
    result = run(*CURVES)
    assert result.exit_code == 3
    assert "E_AT_ZERO" in result.stdout
    assert "--fix E=0" in result.stdout


# Intervals and predictions.


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("fit_interval", [*GRID, "--interval", *FORECAST, "--fix", "B=410.7", "--tie", "beta=alpha"], 0),
        ("fit_refused", [*PYTHIA, "--interval", "--predict", "params=1e12"], 3),
        ("fit_predict", [*PYTHIA, "--predict", "params=1e12"], 0),
        ("curves_interval", [*CURVES, "--interval", "--predict", "params=1e11"], 0),
        ("curves_predict", [*CURVES, "--predict", "params=1e11", "--predict", "params=1e12"], 0),
    ],
)
def test_intervals_and_predictions_stand_beside_the_numbers(name, arguments, code):
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (code, "")
    check_golden(name, result.stdout)


def test_intervals_are_those_of_the_library():
    found = json.loads(run(*GRID, "--interval", *FORECAST, "--json").stdout)
    boot = sf.bootstrap(sf.fit(sf.Chinchilla, sf.LossTable.read("grid.csv")))
    assert {key: found["intervals"][key] for key in boot.to_dict()} == boot.to_dict()
    forecast = boot.interval({"params": 1e11, "tokens": 2e12})
    assert found["intervals"]["predictions"] == [{"at": {"params": 1e11, "tokens": 2e12}, **forecast.to_dict()}]
    assert found["predictions"] == [{"at": {"params": 1e11, "tokens": 2e12}, "loss": forecast.estimate}]


@pytest.mark.parametrize(
    ("options", "scheme", "changed"),
    [
        (["--resamples", "50", "--seed", "7"], None, {"resamples": 50, "seed": 7}),
        (["--by", "tokens"], sf.Wild(by="tokens"), {}),
        (["--scheme", "wild-bca"], sf.wild_bca(), {}),
        (["--scheme", "wild-bca", "--by", "params"], sf.Wild(residuals="plain", by="params", method="bca"), {}),
        (["--scheme", "pairs", "--by", "params"], sf.Pairs(by="params"), {}),
        (["--scheme", "default"], None, {}),
        (["--scheme", "wild"], sf.Wild(), {}),
    ],
)
def test_options_of_intervals_reach_the_bootstrap(options, scheme, changed):
    found = json.loads(run(*GRID, "--interval", "--fix", "E=1.69", "--json", *options).stdout)["intervals"]
    model = sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.69})
    boot = sf.bootstrap(sf.fit(model, sf.LossTable.read("grid.csv")), scheme, **changed)
    assert {key: found[key] for key in boot.to_dict()} == json.loads(json.dumps(boot.to_dict()).replace("NaN", "null"))


@pytest.mark.parametrize("method", METHODS)
def test_level_and_method_reach_every_interval(method):
    found = json.loads(run(*GRID, "--interval", "--level", "0.8", "--method", method, "--json", *FORECAST).stdout)
    rows = [*found["intervals"]["intervals"], *found["intervals"]["predictions"]]
    assert [(row["level"], row["method"]) for row in rows] == [(0.8, method)] * 6
    assert "80 % interval" in run(*GRID, "--interval", "--level", "0.8", "--method", method).stdout


def test_the_command_line_offers_what_the_library_has():
    assert [name.value for name in MethodName] == list(METHODS)
    assert MOST_RESAMPLES == MOST


@pytest.mark.parametrize(
    "options",
    [
        ("--resamples", "9"),
        ("--seed", "0"),
        ("--scheme", "pairs"),
        ("--by", "lr"),
        ("--level", ".9"),
        ("--method", "bca"),
    ],
)
@pytest.mark.parametrize("command", [GRID, CURVES])
def test_an_option_of_intervals_without_interval_is_a_usage_error(command, options):
    result = run(*command, *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert "Add --interval" in " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())


def test_a_doubt_is_told_once_and_not_by_parameter():
    shown = " ".join(run(*PYTHIA, "--interval").stdout.split())
    assert shown.count("too few distinct resamples") == 1
    assert shown.count(" refused ") == 1 + len(["E", "A", "alpha"])


def test_a_far_prediction_is_doubted_by_name():
    shown = " ".join(run(*GRID, "--interval", *FORECAST, "--predict", "params=1e14,tokens=1e12").stdout.split())
    assert "(loss at params 1e+14, tokens 1e+12: 4.0 decades)" in shown


def test_exit_code_3_needs_every_interval_refused():
    slices = json.loads(run(*CURVES, "--interval", "--json").stdout)["intervals"]
    assert all(row["refused"] for part in slices["slices"] for row in part["intervals"])
    assert not any(row["refused"] for row in slices["intervals"])  # of the means
    assert run(*CURVES, "--interval").exit_code == 0
    assert run(*PYTHIA, "--interval").exit_code == 3
    assert run(*PYTHIA, "--interval", "--level", "0.5").exit_code == 0
    assert run(*PYTHIA).exit_code == 0


def test_a_saved_fit_carries_its_intervals_and_reads_back():
    asked = [*PYTHIA, "--interval", "--predict", "params=1e11"]
    printed = strict(run(*asked, "--json", "-o", "fit.json").stdout)
    saved = strict(Path("fit.json").read_text(encoding="utf-8"))
    assert saved["intervals"] == printed["intervals"]
    assert saved["predictions"] == printed["predictions"]
    assert run(*PYTHIA, "-o", "plain.json").exit_code == 0
    assert sf.read_fit("fit.json").to_dict() == sf.read_fit("plain.json").to_dict()


@pytest.mark.parametrize("command", [PYTHIA, CURVES])
def test_an_interruption_is_one_line_and_leaves_no_file(command, folder, monkeypatch):
    def interrupt(*_, progress, **__):
        progress(1, 2)
        raise KeyboardInterrupt

    monkeypatch.setattr("scalefit.resampling.bootstrap", interrupt)
    result = run(*command, "--interval", "-o", "out.json")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "error: interrupted.\n")
    assert [path.name for path in folder.iterdir()] == ["grid.csv"]


def test_control_c_ends_a_running_bootstrap(folder):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    # a shell may have told what runs in the background to ignore it
    code = "import signal, scalefit.cli as c; signal.signal(signal.SIGINT, signal.default_int_handler); c.main()"
    command = [sys.executable, "-c", code, *GRID, "--interval", "--resamples", "1000000", "-o", "fit.json"]
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as running:
        os.close(theirs)
        shown = ""
        while "resampling grid.csv" not in shown:
            shown += os.read(ours, 100_000).decode()
        running.send_signal(signal.SIGINT)
        printed, _ = running.communicate(timeout=120)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert (running.returncode, printed) == (130, b"")
    assert re.sub(r"\x1b\[\d*m", "", shown).endswith("error: interrupted.\r\n")
    assert "Traceback" not in shown
    assert [path.name for path in folder.iterdir()] == ["grid.csv"]


# JSON and files.


@pytest.mark.parametrize(
    "arguments", [PYTHIA, CURVES, [*GRID, "--interval"], [*CURVES, "--interval"], ["datasets"]], ids=" ".join
)
def test_json_is_all_that_is_printed(arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    strict(result.stdout)


def test_nan_and_infinities_are_null():
    one_slice = ["curves", "pythia", "--along", "params", "--at", "tokens", "--objective", "squared", "--json"]
    content = strict(run(*one_slice).stdout)
    assert content["sd"]["alpha"] is None  # of one slice
    assert content["slices"][0]["protocol"]["delta_rule"] is None  # infinite


def test_output_is_a_fit_that_reads_back(folder):
    assert run(*PYTHIA, "-o", "fit.json").exit_code == 0
    assert sf.read_fit("fit.json").parameters == json.loads(run(*PYTHIA, "--json").stdout)["parameters"]
    assert sorted(path.name for path in folder.iterdir()) == ["fit.json", "grid.csv"]


def test_output_of_curves_is_what_json_prints():
    printed = run(*CURVES, "--json", "-o", "curves.json").stdout
    assert Path("curves.json").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("command", [PYTHIA, CURVES])
@pytest.mark.parametrize("target", ["grid.csv/fit.json", "nowhere/fit.json", "."])
def test_output_that_cannot_be_written_is_one_message(command, target, folder):
    before = Path("grid.csv").read_bytes()
    assert "could not be written" in message(run(*command, "-o", target))
    assert [path.name for path in folder.iterdir()] == ["grid.csv"]
    assert Path("grid.csv").read_bytes() == before


@NEEDS_DEV_FULL
@pytest.mark.parametrize("command", [PYTHIA, CURVES])
def test_a_full_disk_is_one_message(command):
    assert "/dev/full could not be written (No space left on device)" in message(run(*command, "-o", "/dev/full"))


@NEEDS_DEV_FULL
def test_a_full_disk_behind_stdout_is_one_message():
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "scalefit.cli", "datasets"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["datasets"], ["datasets", "--json"]])
def test_a_reader_that_has_gone_is_no_error(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "scalefit.cli", *arguments]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert result.stderr == ""


def test_a_write_that_breaks_off_leaves_nothing_behind(folder, monkeypatch):
    Path("fit.json").write_text("what was there")

    def break_off(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", break_off)
    assert "fit.json could not be written" in message(run(*PYTHIA, "-o", "fit.json"))
    assert Path("fit.json").read_text() == "what was there"
    assert sorted(path.name for path in folder.iterdir()) == ["fit.json", "grid.csv"]


def test_the_table_is_not_overwritten_by_the_result():
    assert run("fit", "grid.csv", "-o", "./grid.csv").exit_code == 2


# Bad input: exit code 1 and one message that names what is wrong.

HEAD = "params,tokens,loss\n"
ROWS = "1e8,2e9,3.2\n1e9,2e10,2.6\n1e10,2e11,2.3\n"
BAD_TABLES = {
    "empty": ("runs.csv", "", ["empty"]),
    "header only": ("runs.csv", HEAD, ["no rows"]),
    "one row": ("runs.csv", HEAD + "1e8,2e9,3.2\n", ["at least 2 rows"]),
    "duplicate header": ("runs.csv", "params,loss,loss\n1,2,3\n", ["2 columns named 'loss'"]),
    "no loss": ("runs.csv", "params,tokens\n1,2\n3,4\n", ["No column for the loss", "--columns loss="]),
    "text": ("runs.csv", HEAD + ROWS + "125M,2e9,3\n", ["params", "line 5", "'125M'", "--drop-invalid"]),
    "nan": ("runs.csv", HEAD + ROWS + "1e8,2e9,nan\n", ["loss", "line 5", "--drop-invalid"]),
    "inf": ("runs.csv", HEAD + ROWS + "1e8,inf,3\n", ["tokens", "line 5", "inf"]),
    "zero": ("runs.csv", HEAD + ROWS + "0,2e9,3\n", ["params", "line 5"]),
    "negative": ("runs.csv", HEAD + ROWS + "1e8,2e9,-3\n", ["loss", "line 5", "Unigram-normalised"]),
    "equal rows": ("runs.csv", HEAD + "1e8,2e9,3.2\n" * 6, ["same inputs"]),
    "few rows": ("runs.csv", HEAD + ROWS, ["5 free parameters", "3 rows"]),
    "json": ("runs.json", "[]", [".jsonl"]),
    "not Parquet": ("runs.parquet", HEAD + ROWS, ["not a Parquet file"]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "words"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_bad_table_is_one_message(name, text, words):
    said = message(run("fit", write(name, text), "-o", "fit.json"))
    assert [word for word in words if word not in said] == []
    assert not Path("fit.json").exists()


def test_a_pickle_is_refused_unread():
    Path("runs.pkl").write_bytes(pickle.dumps({"loss": [1.0]}))
    assert "pickle" in message(run("fit", "runs.pkl"))


@pytest.mark.parametrize("text", ["\ufeff" + HEAD + ROWS, (HEAD + ROWS).replace("\n", "\r\n"), (HEAD + ROWS).replace(",", ";")])  # fmt: skip  # noqa: E501
def test_bom_crlf_and_semicolons_are_read(text):
    Path("runs.csv").write_bytes(text.encode())
    result = run("fit", "runs.csv", "--law", "power", "--inputs", "params", "--fix", "E=1.5", "--json")
    assert json.loads(result.stdout)["protocol"]["rows"] == 3


BAD_REQUESTS = {
    "missing file": (["fit", "missing.csv"], "no file 'missing.csv'"),
    "folder": (["fit", "."], "ends in ''"),
    "unknown column in where": ([*PYTHIA, "--where", "lr > 1"], "no column 'lr'"),
    "unreadable condition": ([*PYTHIA, "--where", "params >>= 1"], "Cannot read the condition"),
    "nothing left": ([*PYTHIA, "--where", "params > 1e30"], "leaves none"),
    "unknown weights": ([*PYTHIA, "--weights", "count"], "no column 'count'"),
    "unknown input": (["fit", "pythia", "--law", "power", "--inputs", "size"], "no column 'size'"),
    "text as input": (["fit", "pythia", "--law", "power", "--inputs", "run"], "text"),
    "unknown column to map": (["fit", "grid.csv", "--columns", "params=size"], "--columns params=size"),
    "nothing to derive": (["fit", "grid.csv", "--flops", "6ND"], "--flops 6ND"),
    "same column twice": ([*CURVES[:4], "--at", "params"], "params"),
    "unknown clusters": ([*PYTHIA, "--interval", "--by", "seed"], "no column 'seed'"),
    "one cluster": ([*PYTHIA, "--interval", "--by", "tokens"], "or leave out --by"),
    "no slices": ([*CURVES, "--min-rows", "100"], "--min-rows=100"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_that_the_table_cannot_meet_is_one_message(arguments, words):
    assert words in message(run(*arguments))


def test_a_wrong_hash_is_one_message(folder):
    write("chinchilla_svg_extracted.csv", "not it")
    assert "SHA-256" in message(run("fit", "chinchilla", SCALEFIT_DATA=str(folder)))


# Usage: exit code 2.

ABSURD = {
    "no such command": ["fti"],
    "no such option": [*PYTHIA, "--laws", "power"],
    "no table": ["fit"],
    "unknown law": ["fit", "pythia", "--law", "powr"],
    "law of two columns": [*CURVES, "--law", "chinchilla"],
    "unknown parameter": [*PYTHIA, "--fix", "Q=1"],
    "fix without value": [*PYTHIA, "--fix", "E"],
    "fix to text": [*PYTHIA, "--fix", "E=low"],
    "fix below zero": [*PYTHIA, "--fix", "E=-1"],
    "fix to nan": [*PYTHIA, "--fix", "E=nan"],
    "fix an exponent to zero": [*PYTHIA, "--fix", "alpha=0"],
    "fix twice": [*PYTHIA, "--fix", "E=0", "--fix", "E=1"],
    "fix all": [*PYTHIA, "--fix", "E=0", "--fix", "A=1", "--fix", "alpha=1"],
    "fixed and tied": ["fit", "grid.csv", "--fix", "alpha=1", "--tie", "alpha=beta"],
    "tie in a circle": ["fit", "grid.csv", "--tie", "alpha=beta", "--tie", "beta=alpha"],
    "delta zero": [*PYTHIA, "--delta", "0"],
    "delta negative": [*PYTHIA, "--delta", "-1"],
    "delta infinite": [*PYTHIA, "--delta", "inf"],
    "unknown rule": [*PYTHIA, "--delta", "mad"],
    "delta without huber": [*PYTHIA, "--objective", "squared", "--delta", "1"],
    "too many inputs": [*PYTHIA, "--inputs", "tokens"],
    "unknown flops rule": [*PYTHIA, "--flops", "7ND"],
    "unknown canonical name": [*PYTHIA, "--columns", "size=params"],
    "rtol negative": [*CURVES, "--rtol", "-1"],
    "rtol nan": [*CURVES, "--rtol", "nan"],
    "rtol infinite": [*CURVES, "--rtol", "inf"],
    "no rows asked": [*CURVES, "--min-rows", "0"],
    "unknown rival": [*CURVES, "--against", "none of them"],
    "one resample": [*GRID, "--interval", "--resamples", "1"],
    "too many resamples": [*GRID, "--interval", "--resamples", str(MOST_RESAMPLES + 1)],
    "negative seed": [*GRID, "--interval", "--seed", "-1"],
    "unknown scheme": [*GRID, "--interval", "--scheme", "jackknife"],
    "unknown method": [*GRID, "--interval", "--method", "student"],
    "level one": [*GRID, "--interval", "--level", "1"],
    "level nan": [*GRID, "--interval", "--level", "nan"],
    "predict nothing": [*GRID, "--predict", ""],
    "predict with one input of two": [*GRID, "--predict", "params=1e9"],
    "predict at another column": [*GRID, "--predict", "params=1e9,flops=1e20"],
    "predict at text": [*GRID, "--predict", "params=1B,tokens=1e10"],
    "predict at zero": [*GRID, "--predict", "params=0,tokens=1e10"],
    "predict at infinity": [*GRID, "--predict", "params=inf,tokens=1e10"],
    "predict twice at one input": [*GRID, "--predict", "params=1e9,params=1e9,tokens=1e10"],
    "predict the same twice": [*GRID, *FORECAST, *FORECAST],
    "predict across slices": [*CURVES, "--predict", "tokens=1e10"],
}


@pytest.mark.parametrize("arguments", ABSURD.values(), ids=ABSURD)
def test_absurd_options_are_usage_errors(arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Usage:" in result.stderr


# Text of users.


def test_markup_in_a_column_name_is_shown_not_interpreted():
    frame = sf.load("pythia").to_frame().rename(columns={"tokens": "[red]x[/red]", "params": "[bold]N"})
    frame.to_csv("[blue]t.csv", index=False)
    shown = run(
        "fit", "[blue]t.csv", "--law", "power", "--columns", "params=[bold]N", "--weights", "[red]x[/red]"
    ).stdout
    assert all(words in shown for words in ("[blue]t.csv", "[red]x[/red]", "'[bold]N'"))


def test_escapes_of_users_never_reach_the_terminal():
    frame = sf.load("pythia").to_frame().rename(columns={"params": "a\x1b[31mb\u202e"})
    frame.to_csv("t\x1b[2J.csv", index=False)
    good = run("fit", "t\x1b[2J.csv", "--law", "power", "--inputs", "params", "--columns", "params=a\x1b[31mb\u202e")
    assert good.exit_code == 0
    bad = run("fit", "t\x1b[2J.csv", "--columns", "params=\x1b[31m")
    assert bad.exit_code == 1
    for result in (good, bad, run(*PYTHIA, "--columns", "\x1b[31m=params"), run(*PYTHIA, "--fix", "\x1b[31m=1")):
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output
        assert r"\x1b[" in result.output


def test_text_of_users_about_intervals_is_shown_as_it_is():
    frame = sf.load("pythia").to_frame().rename(columns={"params": "[bold]N\x1b[31m"})
    save(frame.assign(**{"[red]x\x1b[2J[/red]": frame.index // 2}), "t.csv")
    inputs = ["--law", "power", "--inputs", "params", "--columns", "params=[bold]N\x1b[31m"]
    shown = run("fit", "t.csv", *inputs, "--interval", "--by", "[red]x\x1b[2J[/red]")
    assert shown.exit_code in (0, 3)
    assert r"by [red]x\x1b[2J[/red]" in " ".join(shown.stdout.split())
    other = run("fit", "t.csv", *inputs[:3], "[bold]N\x1b[31m", "--predict", "[bold]N\x1b[31m=1e12")
    assert r"[bold]N\x1b[31m 1e+12" in other.stdout
    assert "\x1b" not in shown.output + other.output


def test_visible_keeps_letters_of_every_language():
    assert visible("größe 大小 é") == "größe 大小 é"
    assert visible("a\tb\x07\x9b\udcff") == r"a\tb\x07\x9b\udcff"


def test_messages_speak_of_options():
    assert in_shell("pass flops='6ND' or columns={'loss': '...'}") == "pass --flops 6ND or --columns loss=..."
    assert in_shell("say so with fixed={'E': 0}.") == "say so with --fix E=0."
    assert in_shell("Choose another column, or by=None.") == "Choose another column, or leave out --by."
    assert in_shell("Ask for fewer resamples, or name by=, which") == "Ask for fewer resamples, or name --by, which"


@pytest.mark.parametrize("words", [*sf.Status, *sf.Doubt], ids=lambda words: words.name)
def test_no_sentence_of_the_library_speaks_python_in_the_shell(words):
    assert not re.search(r"\w=|\w\(", in_shell(words.value).replace("--fix E=0", ""))


# Processes: import cost, terminals, encodings.


@pytest.mark.parametrize(
    "arguments", [["--help"], ["fit", "--help"], ["optimal", "--help"], ["validate", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom scalefit.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'sklearn', 'scipy', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_letter_that_the_encoding_lacks_is_no_failure():
    sf.load("pythia").to_frame().to_csv("größe.csv", index=False)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = process("fit", "größe.csv", "--law", "power", "--inputs", "params", env=environment)
    assert result.returncode == 0, result.stderr
    assert r"gr\xf6\xdfe.csv" in result.stdout


def test_a_pipe_gets_no_colour_and_a_terminal_that_is_asked_for_gets_some():
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    assert "\x1b" not in process("datasets", env=environment).stdout
    assert "\x1b[" in process("datasets", env={**environment, "FORCE_COLOR": "1"}).stdout


def test_progress_is_shown_on_a_terminal_and_only_on_stderr():
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "scalefit.cli", *PYTHIA, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as running:
        printed, _ = running.communicate(timeout=120)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "fitting power to pythia" in shown
    strict(printed.decode())


def test_a_folder_that_is_not_there_is_told_before_the_work(monkeypatch, tmp_path):
    def too_late(*_, **__):
        raise AssertionError("fitted before the folder was looked for")

    monkeypatch.setattr("scalefit.fitting.fit", too_late)
    result = run(*PYTHIA, "-o", tmp_path / "absent" / "fit.json")
    assert result.exit_code == 1
    assert "could not be written (no folder" in message(result)


def test_seeds_that_are_not_named_are_averaged_before_the_best_is_kept(tmp_path):
    rows = [(N, lr, seed, 2 + 30 * N**-0.25 + lr + 0.01 * seed)
            for N in (1e7, 1e8, 1e9, 1e10) for lr in (0.001, 0.002) for seed in (0, 1)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["params", "lr", "seed", "loss"])
    frame.to_csv(tmp_path / "sweep.csv", index=False)
    common = ["fit", str(tmp_path / "sweep.csv"), "--law", "power", "--best", "lr", "--json"]
    means, lowest = (json.loads(run(*common, *more).stdout) for more in ([], ["--best", "seed"]))
    assert (
        "best over lr, mean over seed: 4 of 16 rows, 4 at the edge of what was tried"
        in means["protocol"]["table"]["notes"]
    )
    assert means["parameters"]["E"] - lowest["parameters"]["E"] == pytest.approx(0.005, abs=1e-6)
