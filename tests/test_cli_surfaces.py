"""`scalefit surface`, `optimal`, `validate`: what is printed, what options reach, exit codes, pictures, bad input."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from command_line import message, run, save, strict, work_in, write
from golden_files import check_golden
from scalefit.interval_options import Asked
from scalefit.kernel import AnovaKernelRidge
from scalefit.optimal_options import CostName
from scalefit.surface_options import CURVES, PLANE_LAWS, SURFACES, contenders, surface_model
from scalefit.terminal import in_shell

SURFACE = ["surface", "grid.csv"]
OPTIMAL = ["optimal", "grid.csv"]
VALIDATE = ["validate", "grid.csv", "--model", "chinchilla"]
INSIDE, OUTSIDE = ["--predict", "params=1e9,tokens=1e11"], ["--predict", "params=1e12,tokens=1e11"]
NETWORK = "network:width=4:epochs=20"
KERNEL = "kernel:ridge=1e-4"
NARROW = {"COLUMNS": "50"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    return work_in(tmp_path, monkeypatch)


def told(result):
    """What was printed, on one line and without frames."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())


def content(*arguments):
    return strict(run(*arguments, "--json").stdout)


@pytest.fixture
def isoflops():
    """Table of runs at three budgets."""
    flops, params = (axis.ravel() for axis in np.meshgrid([1e18, 1e19, 1e20], np.geomspace(2e7, 8e9, 21)))
    design = pd.DataFrame({"params": params, "tokens": flops / (6 * params), "flops": flops})
    save(sf.simulate(sf.HOFFMANN_2022, design).to_frame(), "isoflops.csv")
    return ["optimal", "isoflops.csv", "--isoflop"]


# What is printed.


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("surface", [*SURFACE, *INSIDE, *OUTSIDE], 0),
        ("optimal", [*OPTIMAL, "--budget", "1e21", "--budget", "5.88e23", "--shapes"], 0),
        ("optimal_interval", [*OPTIMAL, "--budget", "1e21:1e23:3", "--interval", "--fix", "E=1.69"], 0),
        ("optimal_kernel", [*OPTIMAL, "--model", "kernel", "--budget", "1e21", "--budget", "1e24"], 0),
        ("validate", [*VALIDATE, "--model", KERNEL, "--model", "curves", "--cv", "4"], 0),
        ("validate_above", [*VALIDATE, "--model", "kernel", "--above", "flops=1e22"], 0),
    ],
)
def test_status_comes_first(name, arguments, code):
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (code, "")
    check_golden(name, result.stdout)


def test_isoflops_and_exponents(isoflops):
    result = run(*isoflops, "--budget", "1e23")
    assert (result.exit_code, result.stderr) == (0, "")
    check_golden("optimal_isoflop", result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        [*OPTIMAL, "--budget", "1e21", "--budget", "1e24", "--interval", "--shapes", "--fix", "E=1.69"],
        [*VALIDATE, "--model", KERNEL, "--model", "curves", "--cv", "3"],
        [*SURFACE, *INSIDE, *OUTSIDE],
    ],
    ids=["optimal", "validate", "surface"],
)
def test_a_narrow_screen_loses_no_number(arguments):
    wide, narrow = (run(*arguments, COLUMNS=width).stdout for width in ("140", "60"))
    assert max(map(len, narrow.splitlines())) <= 60
    digits = [sorted(re.sub(r"[^\d]", "", text)) for text in (wide, narrow)]
    assert len(digits[0]) > 100
    assert digits[0] == digits[1]


def test_a_long_frontier_is_cut_and_says_so():
    printed = run(*OPTIMAL, "--budget", "1e19:1e22:40").stdout
    assert "and 20 more; --json lists all" in " ".join(printed.split())
    assert len(content(*OPTIMAL, "--budget", "1e19:1e22:40")["budgets"]) == 40


@pytest.mark.parametrize("command", ["surface", "optimal", "validate"])
def test_help_names_the_options(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--model" in result.stdout


# What options reach.


def test_answers_are_those_of_the_library():
    budgets = [1e21, 5.88e23]
    found = content(*OPTIMAL, *(f"--budget={budget}" for budget in budgets), "--interval", "--level", "0.9")
    boot = sf.bootstrap(sf.fit(sf.Chinchilla, sf.LossTable.read("grid.csv")))
    best = sf.compute_optimal(boot, budgets)
    for place, answer in enumerate(found["budgets"]):
        for name in ("params", "tokens", "loss", "tokens_per_param"):
            assert answer[name] == getattr(best, name)[place]
            assert answer["intervals"][name] == json.loads(json.dumps(best.interval(name, place, 0.9).to_dict()))
    assert found["exponents"]["a"] == pytest.approx(best.exponents().a, rel=1e-9)
    assert found["fit"]["parameters"] == boot.base.parameters
    assert found["cost"] == "6 N D"


def test_options_of_a_law_and_of_the_budget_reach_it():
    fixed = content(*OPTIMAL, "--fix", "E=1.69", "--objective", "squared", "--window", "1e20:1e22")
    assert fixed["fit"]["parameters"]["E"] == 1.69
    assert fixed["fit"]["protocol"]["objective"]["name"] == "Squared"
    assert fixed["exponents"]["window"] == [1e20, 1e22]
    assert fixed["exponents"]["budgets"] == 5  # 1e20, 3e20, ... of the round ones
    kaplan = content(*OPTIMAL, "--law", "kaplan", "--budget", "1e21")
    assert kaplan["fit"]["protocol"]["law"] == "Kaplan"


@pytest.mark.parametrize(
    ("options", "cost"),
    [
        ([], sf.flops.six_nd),
        (["--serve", "1e12"], sf.flops.with_inference(1e12)),
        (
            ["--cost", "transformer", "--vocabulary", "32000", "--context", "4096"],
            sf.flops.transformer(vocabulary=32000, context=4096),
        ),
        (
            ["--cost", "transformer", "--vocabulary", "32000", "--context", "4096", "--without-embeddings"],
            sf.flops.transformer(vocabulary=32000, context=4096, embeddings=False),
        ),
    ],
    ids=["6ND", "serve", "transformer", "without embeddings"],
)
def test_costs_reach_the_search(options, cost):
    (answer,) = content(*OPTIMAL, "--budget", "3e21", *options)["budgets"]
    best = sf.compute_optimal(sf.fit(sf.Chinchilla, sf.LossTable.read("grid.csv")), 3e21, cost=cost)
    assert answer["params"] == best.params[0]
    assert float(cost(answer["params"], answer["tokens"])) == pytest.approx(3e21, rel=1e-9)


def test_shapes_are_near_the_last_answer():
    asked = [*OPTIMAL, "--budget", "1e20", "--budget", "1e22", "--shapes", "--vocabulary", "32000"]
    found = content(*asked)
    near = sf.shapes_near(found["budgets"][-1]["params"], vocabulary=32000)
    assert found["shapes"] == near.to_dict("records")
    without = content(*asked, "--without-embeddings")["shapes"]
    assert without == sf.shapes_near(found["budgets"][-1]["params"], vocabulary=32000, embeddings=False).to_dict(
        "records"
    )


@pytest.mark.parametrize(("vocabulary", "options", "expected"), [
    (512, [], {"vocabulary": 512, "head": 128}),
    ([512, 1024], [], {"head": 128}),
    (512, ["--vocabulary", "32000"], {"vocabulary": 32000, "head": 128}),
])  # fmt: skip
def test_shapes_are_of_the_family_of_the_runs(vocabulary, options, expected):
    frame = sf.LossTable.read("grid.csv").to_frame()
    frame["vocabulary"] = np.resize(vocabulary, len(frame))
    frame.assign(head_dim=128).to_csv("family.csv", index=False)
    found = content(*["family.csv" if one == "grid.csv" else one for one in OPTIMAL], "--budget", "1e22", "--shapes",
                    *options)  # fmt: skip
    assert found["shapes"] == sf.shapes_near(found["budgets"][-1]["params"], **expected).to_dict("records")


def test_envelope_and_isoflops_are_those_of_the_library(isoflops):
    runs = sf.LossTable.read("isoflops.csv")
    for option, frontier in (("--isoflop", sf.isoflop(runs)), ("--envelope", sf.envelope(runs))):
        found = content(*isoflops[:2], option)
        assert [answer["params"] for answer in found["budgets"]] == frontier.params.tolist()
        assert found["fit"] is None
        assert found["cost"] is None
    line = sf.isoflop(runs).exponents()
    (beyond,) = content(*isoflops, "--budget", "1e24")["budgets"]
    assert (beyond["by_lines"], beyond["params"]) == (True, line.params(1e24))


def test_settings_follow_the_name_of_a_surface():
    model = surface_model("kernel:ridge=1e-4:length-scale=2,0.5:delta=inf")
    assert (model.ridge, model.length_scale, model.delta, model.main) == (1e-4, [2.0, 0.5], np.inf, 1.0)
    network = surface_model("network:width=8:seed=3:device=cuda")
    assert (network.width, network.seed, network.device) == (8, 3, "cuda")
    protocol = content(*SURFACE, "--model", KERNEL)["protocol"]
    assert (protocol["surface"], protocol["settings"]["ridge"]) == ("AnovaKernelRidge", 1e-4)
    assert content(*SURFACE, "--model", NETWORK)["protocol"]["settings"]["width"] == 4


def test_every_model_that_is_offered_can_be_scored():
    offered = [*PLANE_LAWS, *SURFACES, *CURVES]
    assert list(contenders(offered)) == offered
    models = [option for name in (*offered[:2], "kernel", NETWORK, *CURVES) for option in ("--model", name)]
    found = content("validate", "grid.csv", *models, "--cv", "1")
    assert [row["model"] for row in found["models"]] == models[1::2]
    assert found["ok"]
    assert all(row["test_mse"] > 0 for row in found["models"])


@pytest.mark.parametrize(
    ("options", "words", "splits"),
    [
        (["--cv", "3", "--seed", "5"], "3 random splits, 20 % tested, seed 5", 3),
        ([], "20 random splits, 20 % tested, seed 0", 20),
        (["--cv", "2", "--by", "params"], "2 random splits of groups of params, 20 % tested, seed 0", 2),
        (["--cv", "each", "--by", "params"], "LeaveOneGroupOut() of groups of params", 6),
        (["--above", "tokens=5e11"], "trained below tokens 5e+11, tested from there on", 1),
    ],
)
def test_rows_are_split_as_asked(options, words, splits):
    found = content(*VALIDATE, "--model", "kernel", *options)
    assert found["split"] == words
    assert found["models"][0]["splits"] == splits


def test_scores_are_those_of_the_library():
    found = content(*VALIDATE, "--model", "kernel", "--cv", "3")
    runs = sf.LossTable.read("grid.csv")
    made = sf.validate({"chinchilla": sf.Chinchilla, "kernel": AnovaKernelRidge()}, runs, cv=3)
    assert found["models"] == json.loads(json.dumps(made.to_dict()["models"]))


def test_options_of_the_table_reach_it():
    frame = sf.LossTable.read("grid.csv").to_frame().assign(count=1.0)
    frame.loc[0, "count"] = 0.0
    frame["flops"] = 6 * frame.params * frame.tokens
    save(frame.drop(columns="tokens").rename(columns={"params": "size"}), "runs.csv")
    options = ["--columns", "params=size", "--flops", "6ND", "--where", "flops < 5e22", "--weights", "count"]
    for command in ("surface", "optimal"):
        found = content(command, "runs.csv", *options)
        protocol = found["protocol"] if command == "surface" else found["fit"]["protocol"]
        assert protocol["weights"] == "count"
        assert "where flops < 5e+22" in protocol["table"]["notes"][-1].replace("5e22", "5e+22")
    assert content("validate", "runs.csv", "--model", "kernel", "--cv", "2", *options)["rows"] < len(frame)


def test_a_surface_takes_other_columns():
    found = content(*SURFACE, "--inputs", "tokens", "--predict", "tokens=3e10")
    assert found["protocol"]["inputs"] == ["tokens"]
    assert found["predictions"][0]["loss"] > 0


# Exit codes.


def test_a_prediction_outside_the_runs_is_told_in_words_and_is_null_in_json():
    result = run(*SURFACE, *OUTSIDE)
    assert result.exit_code == 0
    assert "outside the runs" in result.stdout
    assert content(*SURFACE, *OUTSIDE)["predictions"][0]["loss"] is None


def test_an_interval_outside_the_runs_is_refused():
    result = run(*SURFACE, *OUTSIDE, "--interval", "--resamples", "100")
    assert result.exit_code == 3
    assert "nothing to put an interval around" in told(result)


def test_intervals_of_a_surface_stand_beside_its_predictions():
    asked = [*SURFACE, "--model", "kernel:ridge=1", *INSIDE, "--interval", "--resamples", "2000", "--scheme", "wild"]
    found = content(*asked)
    (prediction,) = found["intervals"]["predictions"]
    assert prediction["low"] < found["predictions"][0]["loss"] < prediction["high"]
    assert run(*asked).exit_code == 0


def test_an_edge_that_nobody_asked_for_is_told_and_no_failure(isoflops):
    frame = pd.read_csv("isoflops.csv")
    save(frame[(frame.flops < 1e20) | (frame.params < 5e8)], "isoflops.csv")  # none beyond the best of the largest
    result = run(*isoflops)
    assert result.exit_code == 0
    assert "at an edge" in result.stdout
    assert "2 of 3 budgets have an optimum among the runs, at 1 the loss still falls" in told(result)
    save(frame[(frame.flops < 1e19) | (frame.params < 2e8)], "isoflops.csv")  # one budget is left: no exponents
    result = run(*isoflops)
    assert result.exit_code == 3
    assert "exponents need two budgets" in told(result)


def test_an_edge_that_was_asked_for_is_exit_code_3_unless_the_lines_answer():
    asked = [*OPTIMAL, "--model", "kernel", "--budget", "7e18"]  # near the corner of the smallest runs
    (answer,) = content(*asked)["budgets"]
    assert answer["by_lines"]
    assert run(*asked).exit_code == 0
    save(pd.read_csv("grid.csv").query("tokens < 2e10 or params < 2e8"), "grid.csv")  # no optimum is among these
    result = run(*asked)
    assert result.exit_code == 3
    assert "NOT OK" in result.stdout


def test_a_fit_that_is_not_ok_is_exit_code_3():
    result = run("optimal", "pythia", "--where", "kept")
    assert result.exit_code == 3
    assert "NOT OK" in result.stdout


def test_a_model_that_cannot_be_scored_is_exit_code_3():
    frame = sf.LossTable.read("grid.csv").to_frame()
    save(frame, "grid.csv")
    result = run(*VALIDATE, "--model", "curves", "--above", "tokens=5e10")  # two values of tokens are left
    assert result.exit_code == 3
    assert "failed" in result.stdout


def test_exit_code_3_needs_every_interval_refused():
    asked = [*OPTIMAL, "--interval", "--resamples", "20", "--scheme", "wild"]
    assert run(*asked).exit_code == 3
    assert run(*asked, "--level", "0.5").exit_code == 0


def test_an_interruption_leaves_no_file(folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("scalefit.resampling.bootstrap", interrupt)
    monkeypatch.setattr("scalefit.validation.validate", interrupt)
    written = ["-o", "out.json"]
    for command in (
        [*SURFACE, *INSIDE, "--interval", "--plot", "out.png"],
        [*OPTIMAL, "--interval", "--plot", "out.png"],
        VALIDATE,
    ):
        result = run(*command, *written)
        assert (result.exit_code, result.stdout, result.stderr) == (130, "", "error: interrupted.\n")
        assert [path.name for path in folder.iterdir()] == ["grid.csv"]


# JSON, files, pictures.


@pytest.mark.parametrize("command", [SURFACE, OPTIMAL, [*OPTIMAL, "--model", "kernel"], [*VALIDATE, "--cv", "2"]])
def test_json_is_all_that_is_printed(command):
    result = run(*command, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    strict(result.stdout)


@pytest.mark.parametrize("command", [OPTIMAL, [*VALIDATE, "--cv", "2"]])
def test_output_is_what_json_prints(command):
    printed = run(*command, "--json", "-o", "out.json").stdout
    assert Path("out.json").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("model", [KERNEL, NETWORK])
def test_a_saved_surface_reads_back(model):
    found = json.loads(run(*SURFACE, "--model", model, *INSIDE, "--json", "-o", "fit.json").stdout)
    saved = sf.read_fit("fit.json")
    assert saved(params=1e9, tokens=1e11) == found["predictions"][0]["loss"]
    assert strict(Path("fit.json").read_text(encoding="utf-8"))["predictions"] == found["predictions"]


FIT = ["fit", *SURFACE[1:]]


@pytest.mark.parametrize(
    "command", [FIT, [*FIT, "--law", "power", "--inputs", "flops"], SURFACE, OPTIMAL, [*OPTIMAL, "--model", "kernel"]]
)
@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")])
def test_pictures_are_written_as_their_names_end(command, name, start):
    assert run(*command, "--plot", name).exit_code == 0
    assert Path(name).read_bytes().startswith(start)


def test_a_picture_of_isoflops_and_the_same_twice(isoflops):
    for name in ("a.svg", "b.svg"):
        assert run(*isoflops, "--plot", name).exit_code == 0
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


def test_a_picture_that_cannot_be_written_leaves_nothing_behind(folder, monkeypatch):
    Path("a.png").write_text("what was there")

    def break_off(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", break_off)
    assert "a.png could not be written" in message(run(*SURFACE, "--plot", "a.png"))
    assert Path("a.png").read_text() == "what was there"
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "grid.csv"]


@pytest.mark.parametrize("command", [SURFACE, OPTIMAL, VALIDATE])
def test_a_folder_that_is_not_there_is_told_before_the_work(command, monkeypatch):
    def too_late(*_, **__):
        raise AssertionError("worked before the folder was looked for")

    monkeypatch.setattr("scalefit.fitting.fit", too_late)
    monkeypatch.setattr("scalefit.validation.validate", too_late)
    assert "could not be written (no folder" in message(run(*command, "-o", "absent/out.json"))
    if command is not VALIDATE:
        assert "could not be written (no folder" in message(run(*command, "--plot", "absent/out.png"))


# Bad input and usage.

BAD_REQUESTS = {
    "no tokens": (["optimal", "one.csv"], ["no column 'tokens'", "--columns tokens="]),
    "no tokens, kernel": (["optimal", "one.csv", "--model", "kernel"], ["no column 'tokens'"]),
    "no flops": (["optimal", "one.csv", "--isoflop"], ["no column 'flops'", "--columns flops="]),
    "no runs at one budget": (["optimal", "cerebras_gpt", "--isoflop"], ["--rtol", "leaving out --isoflop"]),
    "constant tokens": (["surface", "pythia"], ["column 'tokens' is", "Pass --inputs params"]),
    "column twice": ([*SURFACE, "--inputs", "params", "--inputs", "params"], ["--inputs params --inputs params"]),
    "unknown column": ([*SURFACE, "--inputs", "size"], ["no column 'size'"]),
    "ridge": ([*SURFACE, "--model", "kernel:ridge=-1"], ["ridge must be positive", "-1"]),
    "width": ([*SURFACE, "--model", "network:width=0"], ["width must be at least 1"]),
    "empty window": ([*OPTIMAL, "--window", "1e29:1e30"], ["two budgets", "between 1e+29 and 1e+30"]),
    "no such group": ([*VALIDATE, "--by", "seed"], ["no column 'seed'"]),
    "nothing above": ([*VALIDATE, "--above", "tokens=1e30"], ["at or above tokens 1e+30"]),
    "picture of one column": ([*SURFACE, "--inputs", "tokens", "--plot", "a.png"], ["params and tokens"]),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_that_the_table_cannot_meet_is_one_message(arguments, words):
    write("one.csv", "params,loss\n1e8,3.2\n1e9,2.6\n1e10,2.3\n3e10,2.2\n")
    said = message(run(*arguments))
    assert [word for word in words if word not in said] == []


ABSURD = {
    "unknown surface": [*SURFACE, "--model", "forest"],
    "unknown setting": [*SURFACE, "--model", "kernel:rigde=1"],
    "setting without value": [*SURFACE, "--model", "kernel:ridge"],
    "setting twice": [*SURFACE, "--model", "kernel:ridge=1:ridge=2"],
    "setting of text": [*SURFACE, "--model", "kernel:ridge=low"],
    "half an epoch": [*SURFACE, "--model", "network:epochs=1.5"],
    "interval of nothing": [*SURFACE, "--interval"],
    "level without interval": [*OPTIMAL, "--level", "0.9"],
    "predict at another column": [*SURFACE, "--predict", "params=1e9,flops=1e20"],
    "two approaches": [*OPTIMAL, "--law", "kaplan", "--model", "kernel"],
    "isoflop and envelope": [*OPTIMAL, "--isoflop", "--envelope"],
    "law of one column": [*OPTIMAL, "--law", "power"],
    "rtol of a law": [*OPTIMAL, "--rtol", "0.1"],
    "rtol of one": [*OPTIMAL, "--isoflop", "--rtol", "1"],
    "interval of isoflops": [*OPTIMAL, "--isoflop", "--interval"],
    "cost of an envelope": [*OPTIMAL, "--envelope", "--cost", "6ND"],
    "weights of an envelope": [*OPTIMAL, "--envelope", "--weights", "count"],
    "fix of a surface": [*OPTIMAL, "--model", "kernel", "--fix", "E=1"],
    "delta of a surface": [*OPTIMAL, "--model", "kernel", "--delta", "1"],
    "budget of zero": [*OPTIMAL, "--budget", "0"],
    "budget of text": [*OPTIMAL, "--budget", "1 exaflop"],
    "infinite budget": [*OPTIMAL, "--budget", "inf"],
    "half a range of budgets": [*OPTIMAL, "--budget", "1e19:1e20"],
    "range of budgets the wrong way": [*OPTIMAL, "--budget", "1e20:1e19:3"],
    "one budget of a range": [*OPTIMAL, "--budget", "1e19:1e20:1"],
    "too many budgets": [*OPTIMAL, "--budget", "1e19:1e20:1001"],
    "window of one": [*OPTIMAL, "--window", "1e19"],
    "window the wrong way": [*OPTIMAL, "--window", "1e20:1e19"],
    "serve infinity": [*OPTIMAL, "--serve", "inf"],
    "transformer without vocabulary": [*OPTIMAL, "--cost", "transformer", "--context", "2048"],
    "context without transformer": [*OPTIMAL, "--context", "2048"],
    "vocabulary without use": [*OPTIMAL, "--vocabulary", "2048"],
    "embeddings without use": [*OPTIMAL, "--without-embeddings"],
    "picture of an unknown kind": [*OPTIMAL, "--plot", "a.gif"],
    "picture into the result": [*OPTIMAL, "--plot", "a.png", "-o", "a.png"],
    "picture into the table": [*OPTIMAL, "--plot", "grid.csv"],
    "no model": ["validate", "grid.csv"],
    "unknown model": ["validate", "grid.csv", "--model", "power"],
    "settings of a law": ["validate", "grid.csv", "--model", "chinchilla:E=1"],
    "a model twice": [*VALIDATE, "--model", "chinchilla"],
    "no split": [*VALIDATE, "--cv", "0"],
    "splits of text": [*VALIDATE, "--cv", "many"],
    "each of nothing": [*VALIDATE, "--cv", "each"],
    "seed of no random split": [*VALIDATE, "--cv", "each", "--by", "params", "--seed", "1"],
    "above and splits": [*VALIDATE, "--above", "tokens=1e11", "--cv", "3"],
    "above another column": [*VALIDATE, "--above", "loss=2"],
    "above zero": [*VALIDATE, "--above", "tokens=0"],
    "above text": [*VALIDATE, "--above", "tokens=many"],
}


@pytest.mark.parametrize("arguments", ABSURD.values(), ids=ABSURD)
def test_absurd_options_are_usage_errors(arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Usage:" in result.stderr


def test_costs_have_their_names():
    assert [name.value for name in CostName] == ["6ND", "transformer"]


# Text of users, words of the shell, slow work.


def test_text_of_users_is_shown_as_it_is():
    frame = sf.LossTable.read("grid.csv").to_frame().rename(columns={"params": "[bold]N\x1b[31m"})
    save(frame, "t[red].csv")
    shown = run("surface", "t[red].csv", "--columns", "params=[bold]N\x1b[31m", "--inputs", "params")
    other = run("optimal", "t[red].csv", "--columns", "params=[bold]N\x1b[31m", "--budget", "1e21")
    third = run("validate", "t[red].csv", "--columns", "params=[bold]N\x1b[31m", "--model", KERNEL, "--cv", "1")
    for result in (shown, other, third):
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.output
        assert r"[bold]N\x1b[31m" in result.stdout
        assert "t[red].csv" in result.stdout
    bad = run("surface", "grid.csv", "--model", "\x1b[31m")
    assert "\x1b" not in bad.output


def test_messages_speak_of_options():
    said = "these budgets are not in its FLOPs. Pass the cost that made them, such as flops.transformer(...)."
    assert in_shell(said).endswith("Or choose --cost transformer.")
    assert in_shell("Pass inputs='params', or add runs.") == "Pass --inputs params, or add runs."
    assert in_shell("Pass inputs=('params', 'lr'), or") == "Pass --inputs params --inputs lr, or"


@pytest.mark.parametrize(("model", "gpu"), [(NETWORK, True), ("kaplan", False)])
def test_a_long_bootstrap_is_told_beforehand(capsys, model, gpu):
    (made,) = contenders([model]).values()
    fitted = sf.fit(made, sf.LossTable.read("grid.csv"))
    asked = Asked(True, None, 200, None, None, None, None, None)
    asked.warn(fitted, 0.1)
    assert capsys.readouterr().err == ""
    asked.warn(fitted, 20.0)
    said = capsys.readouterr().err
    assert "one fit took 20 s. Intervals need 200 of them" in said
    assert "about 67 min in all" in said
    assert ("device=cuda" in said) == gpu


def test_refits_as_a_batch_are_not_warned_of(capsys):
    runs = sf.LossTable.read("grid.csv")
    for model in (sf.Chinchilla, AnovaKernelRidge()):
        Asked(True, None, None, None, None, None, None, None).warn(sf.fit(model, runs), 20.0)
    assert capsys.readouterr().err == ""
