"""Histories of runs: one row per run by a named rule, whatever the shape of the export, and nothing used in silence."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from scalefit import LossTable

STEPS = np.arange(100, 1001, 100)


def run(name, params=1e8, steps=STEPS, **columns):
    """History of one run whose loss falls to 2 + 1e8 / params + 100 / step."""
    losses = 2 + 1e8 / params + 100 / steps
    return pd.DataFrame({"run": name, "step": steps, "params": params, "loss": losses, **columns})


@pytest.fixture
def log():
    return pd.concat([run("a"), run("b", 2e8), run("c", 4e8)], ignore_index=True)


def notes(table):
    return "\n".join(table.notes)


# Rules.


def test_the_last_finite_loss_is_the_default(log):
    table = LossTable.read_history(log)
    np.testing.assert_allclose(table.loss, [3.1, 2.6, 2.35], rtol=1e-15)
    assert table["run"].tolist() == ["a", "b", "c"]
    assert table["step"].tolist() == [1000] * 3
    assert table.notes == ("loss is the last finite one of each run: 3 runs from 30 records",)


def test_a_loss_that_was_not_logged_at_the_last_step_is_taken_from_before(log):
    log.loc[log["step"] > 800, "loss"] = np.nan
    table = LossTable.read_history(log)
    assert table["step"].tolist() == [800] * 3
    assert table.loss[0] == 3 + 100 / 800


def test_the_smallest_loss_brings_the_tokens_of_its_step(log):
    log["tokens"] = log["step"] * 1e6
    log.loc[(log["run"] == "b") & (log["step"] == 300), "loss"] = 0.5
    table = LossTable.read_history(log, rule="min")
    assert table["step"].tolist() == [1000, 300, 1000]
    assert table.tokens.tolist() == [1e9, 3e8, 1e9]
    assert "loss is the smallest finite one" in notes(table)


def test_the_mean_of_the_last_losses_skips_what_is_not_finite(log):
    log["loss"] = log["step"].astype(float)
    log.loc[(log["run"] == "b") & (log["step"] == 900), "loss"] = np.nan
    table = LossTable.read_history(log, rule=("mean", 2))
    assert table.loss.tolist() == [950, 900, 950]
    assert "the mean of the last 2 finite ones" in notes(table)


def test_the_order_of_the_records_does_not_matter(log):
    log["tokens"] = log["step"] * 1e6
    shuffled = log.sample(frac=1, random_state=0)
    one, other = (LossTable.read_history(frame, rule=("mean", 3)).to_frame() for frame in (log, shuffled))
    pd.testing.assert_frame_equal(one, other.sort_values("run", ignore_index=True))


def test_of_a_repeated_step_the_later_record_counts(log):
    again = run("a", steps=np.array([900, 1000])).assign(loss=[5.0, 4.0])
    table = LossTable.read_history(pd.concat([log, again]), rule=("mean", 2))
    assert table.loss[0] == 4.5
    assert "records that repeat a step of their run, of which the last counts: 2" in table.notes


def test_a_repeated_step_without_a_loss_hides_none(log):
    table = LossTable.read_history(pd.concat([log, run("a", steps=np.array([1000])).assign(loss=np.nan)]))
    assert table.loss[0] == 3.1


# Columns.


def test_numbers_that_change_are_carried_as_at_the_step_of_the_loss(log):
    log["tokens"], log["lr"] = log["step"] * 1e6, 1e-3 / log["step"]
    log["seed"], log["dataset"] = 1, "c4"
    table = LossTable.read_history(log, rule="min")
    assert table["lr"].tolist() == [1e-6] * 3
    assert table["dataset"].tolist() == ["c4"] * 3
    assert "as at the step of the loss: tokens, lr" in table.notes


def test_tokens_that_were_logged_before_the_loss_say_so(log):
    log["tokens"] = np.where(log["step"] == 1000, np.nan, log["step"] * 1e6)
    table = LossTable.read_history(log)
    assert table.tokens.tolist() == [9e8] * 3
    assert "tokens is of up to 100 steps before the loss" in table.notes


def test_a_configuration_that_was_logged_once_holds_for_the_run(log):
    log["width"] = np.where(log["step"] == 500, log["params"] / 1e6, np.nan)
    log["optimizer"] = np.where(log["step"] == 500, "adam", "")
    table = LossTable.read_history(log)
    assert table["width"].tolist() == [100, 200, 400]
    assert table["optimizer"].tolist() == ["adam"] * 3


def test_a_value_that_no_record_of_a_run_has_stays_missing(log):
    log["width"] = np.where(log["run"] == "a", np.nan, 64.0)
    log["dataset"] = np.where(log["run"] == "a", None, "c4")
    frame = LossTable.read_history(log).to_frame()
    assert frame["width"].isna().tolist() == [True, False, False]
    assert frame["dataset"].isna().tolist() == [True, False, False]


@pytest.mark.parametrize(("name", "values"), [("dataset", ("c4", "pile")), ("width", (64, 65)), ("seed", (0, 1))])
def test_a_configuration_that_varies_within_a_run_is_refused(log, name, values):
    log[name] = np.where((log["run"] == "b") & (log["step"] > 500), values[1], values[0])
    with pytest.raises(ValueError, match=f"{name} must be constant .* run 'b' it is '{values[0]}' .*'{values[1]}'"):
        LossTable.read_history(log)


def test_params_that_vary_in_every_run_are_two_runs_of_one_name(log):
    log["run"] = np.where(log["step"] % 200 == 0, "even", "odd")
    with pytest.raises(ValueError, match=r"params must be constant .* \(2 such runs of 2\)"):
        LossTable.read_history(log)


def test_a_learning_rate_that_is_scheduled_in_one_run_is_no_configuration(log):
    log["lr"] = np.where((log["run"] == "b") & (log["step"] > 500), 1e-4, 1e-3)
    assert LossTable.read_history(log)["lr"].tolist() == [1e-3, 1e-4, 1e-3]


def test_objects_that_change_are_left_out(log):
    log["gradients"] = [f"{{'_type': 'histogram', 'n': {row}}}" for row in range(len(log))]
    table = LossTable.read_history(log)
    assert "gradients" not in table
    assert "left out, since they hold objects that change: gradients" in table.notes


def test_training_and_validation_losses_are_told_apart_by_name_alone(log):
    log = log.rename(columns={"loss": "val/loss"}).assign(**{"train/loss": 1.0})
    with pytest.raises(ValueError, match="Columns 'val/loss' and 'train/loss' may all be the loss"):
        LossTable.read_history(log)
    table = LossTable.read_history(log, {"loss": "val/loss"})
    assert table.loss[0] == 3.1
    assert table["train/loss"].tolist() == [1.0] * 3


def test_a_column_whose_name_is_taken_is_carried_as_the_original(log):
    log = log.rename(columns={"run": "name"}).assign(run=7)
    table = LossTable.read_history(log, {"run": "name"})
    assert table["run"].tolist() == ["a", "b", "c"]
    assert table["run_original"].tolist() == [7] * 3


def test_two_columns_of_runs_that_say_the_same_are_one(log):
    assert len(LossTable.read_history(log.assign(name=log["run"] + "!"))) == 3
    with pytest.raises(ValueError, match="'run' and 'name' may all be the run"):
        LossTable.read_history(log.assign(name="sweep"))


def test_tokens_stand_in_for_steps(log):
    table = LossTable.read_history(log.rename(columns={"step": "tokens"}))
    assert table.tokens.tolist() == [1000] * 3


# Exports of W&B and others.


def test_a_long_export_reads_like_the_frame(log, tmp_path):
    log = log.rename(columns={"run": "name", "step": "_step", "params": "n_params", "loss": "eval/loss"})
    log = log.assign(_runtime=1.5 * log["_step"], _timestamp=1.7e9)
    log.loc[log["_step"] % 200 == 100, "eval/loss"] = np.nan
    expected = LossTable.read_history(log)
    assert expected.columns == ("params", "loss", "run", "step")
    log.to_csv(tmp_path / "log.csv", index=False)
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    for name in ("log.csv", "log.jsonl"):
        table = LossTable.read_history(tmp_path / name)
        assert table == expected
        assert table.notes == expected.notes
    assert "step is the column '_step' (recognised)" in expected.notes


def test_a_step_of_the_trainer_goes_before_that_of_the_logger(log):
    table = LossTable.read_history(log.rename(columns={"step": "trainer/global_step"}).assign(_step=range(len(log))))
    assert table["step"].tolist() == [1000] * 3


def test_json_lines_have_a_record_per_line_and_metric(tmp_path):
    lines = [
        {"run": name, "step": step, "params": params, **metric}
        for name, params in (("a", 1e8), ("b", 1e9))
        for step in (1, 2)
        for metric in ({"eval_loss": 3.0 / step}, {"lr": 0.1 / step, "tokens": step * 1e6})
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    table = LossTable.read_history(tmp_path / "log.jsonl")
    assert table.loss.tolist() == [1.5, 1.5]
    assert table.tokens.tolist() == [2e6, 2e6]  # of another record of the same step
    assert table["lr"].tolist() == [0.05, 0.05]


def test_not_a_number_in_json_is_no_loss(tmp_path):
    rows = [f'{{"run": "{r}", "step": {s}, "N": 1e8, "loss": {v}}}' for r in "ab" for s, v in ((1, 3), (2, '"NaN"'))]
    (tmp_path / "log.jsonl").write_text("\n".join(rows))
    assert LossTable.read_history(tmp_path / "log.jsonl").loss.tolist() == [3, 3]


@pytest.fixture
def wide(tmp_path):
    """An export of a panel: a column per run and metric, with the companions of each curve."""

    def write(metrics=("val/loss",), axis="Step"):
        frame = pd.DataFrame({axis: STEPS})
        for name, params in (("run-a", 1e8), ("run - b", 2e8)):
            for metric in metrics:
                values = run(name, params)["loss"].where((1000 if name == "run-a" else 400) >= STEPS)
                frame[f"{name} - {metric}"] = values if metric == "val/loss" else values / 10
                frame[f"{name} - {metric}__MIN"] = frame[f"{name} - {metric}__MAX"] = 9.0
        frame.to_csv(tmp_path / "wide.csv", index=False, quoting=1)
        return tmp_path / "wide.csv"

    return write


CONFIGS = pd.DataFrame({"Name": ["run - b", "spare", "run-a"], "State": "finished", "n_params": [2e8, 5e8, 1e8]})


def test_a_column_per_run_is_read_with_its_configurations(wide, tmp_path):
    CONFIGS.to_csv(tmp_path / "configs.csv", index=False)
    table = LossTable.read_history(wide(), configs=tmp_path / "configs.csv")
    assert table["run"].tolist() == ["run-a", "run - b"]
    assert table["step"].tolist() == [1000, 400]
    assert table.params.tolist() == [1e8, 2e8]
    np.testing.assert_allclose(table.loss, [3.1, 2.75], rtol=1e-15)
    assert table["State"].tolist() == ["finished"] * 2
    assert "rows of configs without a history: 1" in table.notes
    assert table == LossTable.read_history(wide(), configs=CONFIGS)


def test_several_metrics_of_a_wide_export_ask_which_is_the_loss(wide):
    path = wide(("train/loss", "val/loss", "lr"))
    with pytest.raises(ValueError, match="'train/loss' and 'val/loss' may all be the loss"):
        LossTable.read_history(path, configs=CONFIGS)
    with pytest.raises(ValueError, match="'eval/loss'}, but the metrics are train/loss, val/loss, lr"):
        LossTable.read_history(path, {"loss": "eval/loss"}, configs=CONFIGS)
    table = LossTable.read_history(path, {"loss": "val/loss"}, configs=CONFIGS)
    np.testing.assert_allclose(table["lr"], [0.31, 0.275], rtol=1e-15)


def test_a_wide_export_over_tokens_has_tokens(wide):
    table = LossTable.read_history(wide(axis="train/tokens"), {"tokens": "train/tokens"}, configs=CONFIGS)
    assert table.tokens.tolist() == [1000, 400]


def test_an_error_in_a_wide_export_names_its_line(wide):
    path = wide()
    path.write_text(path.read_text().replace('"2.75"', '"-2.75"'))
    with pytest.raises(ValueError, match=r"loss must be positive .* -2.75 in row 1 .*of the runs of .*wide.csv"):
        LossTable.read_history(path, configs=CONFIGS)


def test_names_of_runs_that_are_numbers_meet_their_texts(log):
    log["run"] = log["run"].map({"a": 1, "b": 2, "c": 3})
    configs = pd.DataFrame({"run": ["1", "2", "3"], "width": [64, 128, 256]})
    assert LossTable.read_history(log, configs=configs)["width"].tolist() == [64, 128, 256]


def test_what_the_history_has_is_not_taken_from_configs(log):
    configs = pd.DataFrame({"run": ["a", "b", "c"], "params": 1.0, "loss": 1.0})
    table = LossTable.read_history(log, configs=configs)
    assert table.params.tolist() == [1e8, 2e8, 4e8]
    assert "left out of configs, since the history has them: params, loss" in table.notes


# Runs that are not like the others.


def test_a_run_that_ends_early_is_named(log):
    log = log[(log["run"] != "b") | (log["step"] <= 300)]
    assert "ended early? 'b' at step 300, others at up to 1000 (1 of 3 runs)" in LossTable.read_history(log).notes


def test_a_run_that_ends_alone_among_runs_that_share_their_lengths_is_named():
    steps = {"a": 400, "b": 400, "c": 400, "d": 700, "e": 1000, "f": 1000}
    log = pd.concat([run(name, 1e8, np.arange(10, end + 1, 10)) for name, end in steps.items()])
    assert "ended early? 'd' at step 700, others at up to 1000 (1 of 6 runs)" in LossTable.read_history(log).notes


def test_lengths_that_several_runs_share_are_a_design():
    steps = {"a": 1000, "b": 1000, "c": 100, "d": 100, "e": 10, "f": 10}
    log = pd.concat([run(name, 1e8, np.arange(10, end + 1, 10)) for name, end in steps.items()])
    assert "early" not in notes(LossTable.read_history(log))
    steps = {"a": 800, "b": 900, "c": 1000, "d": 700}
    design = pd.concat([run(name, 1e8, np.arange(10, end + 1, 10)) for name, end in steps.items()])
    assert "early" not in notes(LossTable.read_history(design))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_run_that_diverged_is_named(log, value):
    log.loc[(log["run"] == "b") & (log["step"] > 600), "loss"] = value
    table = LossTable.read_history(log)
    assert "diverged? no finite loss after step 600 of 1000 in 'b' (1 of 3 runs)" in table.notes
    assert table.loss[1] == 2.5 + 100 / 600


def test_losses_that_are_logged_now_and_then_do_not_look_diverged():
    log = pd.concat([run(name, steps=np.arange(10, 1000, 10)) for name in "ab"])
    log.loc[log["step"] % 100 != 0, "loss"] = np.nan
    assert "diverged" not in notes(LossTable.read_history(log))


def test_runs_without_enough_losses_are_refused_or_dropped_and_listed(log):
    log.loc[(log["run"] == "b") & (log["step"] > 200), "loss"] = np.nan
    with pytest.raises(ValueError, match=r"run 'b' has 2 finite losses, fewer than the 3 .* \(1 such runs of 3\)"):
        LossTable.read_history(log, rule=("mean", 3))
    table = LossTable.read_history(log, rule=("mean", 3), drop_invalid=True)
    assert table["run"].tolist() == ["a", "c"]
    assert table.dropped["run"].tolist() == ["b"]
    assert "too few finite losses in 'b'" in table.notes
    log.loc[log["run"] == "b", "loss"] = np.nan
    with pytest.raises(ValueError, match="run 'b' has no finite loss in 10 records"):
        LossTable.read_history(log)


# Bad input.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda log: log.drop(columns="run"), "No column for the run among step, params, loss"),
        (lambda log: log.drop(columns="step"), "No column for the step among run, params, loss"),
        (lambda log: log.drop(columns="loss"), "No column for the loss among run, step, params"),
        (lambda log: log.rename(columns={"loss": "z_loss"}), "Name it: columns={'loss': 'z_loss'}"),
        (lambda log: log.drop(columns="params"), "No column for params, tokens or flops"),
        (lambda log: log.iloc[:0], "has no rows"),
        (lambda log: log[log["run"] == "a"], "at least 2 rows"),
        (lambda log: log.assign(step=log["step"].where(log["step"] < 900)), "the step .* is missing in row 8"),
        (lambda log: log.assign(run=log["run"].where(log["run"] != "c")), "the run .* is missing in row 20"),
        (lambda log: log.assign(loss="low"), "column 'loss' must hold numbers, but it is 'low' in row 0"),
        (lambda log: log.assign(step="early"), "column 'step' must hold numbers"),
        (lambda log: log.assign(loss=-1.0), "loss must be positive and finite, but it is -1.0"),
        (lambda log: log.set_axis([*log.columns[:3], "run"], axis=1), "occur once"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(log, change, words):
    with pytest.raises(ValueError, match=words):
        LossTable.read_history(change(log))


@pytest.mark.parametrize("rule", ["mean", "first", None, 3, ("mean",), ("mean", 0), ("mean", 2.5), ("mean", True)])
def test_an_unknown_rule_is_refused(log, rule):
    with pytest.raises(ValueError, match="rule must be 'last', 'min' or"):
        LossTable.read_history(log, rule=rule)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"run": "group"}, "no such column"),
        ({"loss": "step"}, "cannot be two of run, step and loss"),
        ({"width": "params"}, "Keys of a history are run, step"),
        ({"tokens": "toks"}, "no such column"),
    ],
)
def test_a_wrong_map_is_refused(log, columns, words):
    with pytest.raises(ValueError, match=words):
        LossTable.read_history(log, columns)


@pytest.mark.parametrize(
    ("configs", "words"),
    [
        (pd.DataFrame({"run": ["a", "b"], "width": 1}), r"configs lacks 'c' in its column 'run' \(1 such runs of 3\)"),
        (pd.DataFrame({"run": ["a", "b", "c", "a"], "width": 1}), "configs has 2 rows for the run 'a'"),
        (pd.DataFrame({"width": [1]}), "configs has no column of runs among width"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(log, configs, words):
    with pytest.raises(ValueError, match=words):
        LossTable.read_history(log, configs=configs)


def test_files_are_refused_as_by_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        LossTable.read_history(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="is empty"):
        LossTable.read_history(tmp_path / "empty.csv")
    with pytest.raises(TypeError, match="needs a path or a pandas DataFrame, not list"):
        LossTable.read_history([{"run": "a"}])


def test_an_error_names_the_line_of_the_file(tmp_path):
    (tmp_path / "log.csv").write_text("run,step,N,loss\na,1,1e8,3\na,2,1e8,2.9\nb,1,0,3\nb,2,0,2.8\n")
    with pytest.raises(ValueError, match=r"params .*'N'.* is 0.* in line 5 of .*log.csv"):
        LossTable.read_history(tmp_path / "log.csv")


def test_a_hundred_thousand_records_take_seconds():
    log = pd.concat([run(f"r{i}", 1e8 * (i + 1), np.arange(1, 1001), tokens=1e6) for i in range(100)])
    began = time.process_time()
    table = LossTable.read_history(log, rule=("mean", 10))
    assert len(table) == 100
    assert time.process_time() - began < 5
