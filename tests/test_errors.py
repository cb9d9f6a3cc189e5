"""Bad input through the Python API: the message names column, row, value and remedy, and nothing is half-written.

Bad files are in test_reading, bad columns and values in test_columns, bad data sets in test_datasets, bad constraints
in test_parametric, and the command line in test_cli.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from runs import missing_words, refusal

FRAME = pd.DataFrame(
    {
        "params": np.geomspace(1e7, 1e11, 6),
        "loss": [4.1, 3.4, 2.9, 2.6, 2.4, 2.3],
        "negative": [1, 2, -3, -1, 1, 1],
        "text": ["1", "two", "3", "4", "5", "6"],
        "flag": [True, True, False, True, True, True],
        "zeros": [0.0] * 6,
        "gap": [1.0, np.nan, 1.0, 1.0, np.inf, 1.0],
        "count": [1, 2, 1, 1, 3, 1],
        "two": [1, 1, 0, 0, 0, 0],
        "width": [1.0, 2.0, 4.0, 0.0, 16.0, 32.0],
    }
)
TABLE = sf.LossTable.from_frame(FRAME)
FIT = sf.fit(sf.PowerLaw, TABLE)
SURFACE = sf.fit(
    sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
)


def type_refusal(function, *args, **options):
    with pytest.raises(TypeError) as error:
        function(*args, **options)
    return str(error.value)


# Rows.


def test_all_rows_equal_say_so_with_the_value():
    table = sf.LossTable.from_frame(pd.DataFrame({"params": [1e8] * 5, "loss": [2.5] * 5}))
    assert missing_words(refusal(sf.fit, sf.PowerLaw, table), "all 5 rows", "1e+08", "Add runs") == []


def test_one_row_is_no_table():
    words = ("at least 2 rows", "has 1", "Add runs")
    assert missing_words(refusal(sf.LossTable.from_frame, FRAME[:1]), *words) == []
    assert missing_words(refusal(TABLE.where, "params > 5e10"), "at least 2 rows", "params > 5e10") == []


@pytest.mark.parametrize("law", [sf.PowerLaw, sf.Exponential])
def test_fewer_rows_than_parameters_count_both_and_name_the_parameters(law):
    words = (law.__name__, "3 free parameters (E, A, alpha)", "2 rows", "Add runs", "fixed=")
    assert missing_words(refusal(sf.fit, law, sf.LossTable.from_frame(FRAME[:2])), *words) == []


def test_rows_of_weight_zero_do_not_count_as_rows():
    assert missing_words(refusal(sf.fit, sf.PowerLaw, TABLE, weights="two"), "2 rows with a weight (of 6)") == []


def test_too_few_rows_of_a_surface():
    table = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9], tokens=[1e9, 1e10]))
    words = ("5 free parameters (E, A, B, alpha, beta)", "4 rows")
    assert missing_words(refusal(sf.fit, sf.Chinchilla, table), *words) == []


def test_fixing_a_parameter_is_the_remedy_that_the_message_says_it_is():
    model = sf.LawRegressor(sf.PowerLaw, fixed={"E": 0})
    assert sf.fit(model, sf.LossTable.from_frame(FRAME[:3])).law.alpha > 0


# Columns.


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("negative", ["row 2", "-3", "2 such rows", "frequency"]),
        ("text", ["row 0", "the text '1'", "numbers"]),
        ("flag", ["row 0", "True", "numbers"]),
        ("zeros", ["zero in all 6 rows"]),
        ("gap", ["row 1", "nan", "2 such rows", "where"]),
        ("cuont", ["Did you mean 'count'?"]),
        ("tokens", ["'tokens'", "columns={'tokens': '...'}"]),
    ],
)
def test_a_bad_column_of_weights_is_refused(column, words):
    message = refusal(sf.fit, sf.PowerLaw, TABLE, weights=column)
    assert missing_words(message, repr(column), *words) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("negative", ["row 2", "-3", "2 such rows", "where"]),
        ("text", ["row 0", "the text '1'", "numbers"]),
        ("flag", ["row 0", "True", "numbers"]),
        ("zeros", ["row 0", "is 0", "6 such rows", "where"]),
        ("width", ["row 3", "is 0", "1 such rows", "where"]),
        ("gap", ["row 1", "nan", "2 such rows", "where"]),
        ("widht", ["Did you mean 'width'?"]),
        ("tokens", ["'tokens'", "columns={'tokens': '...'}"]),
    ],
)
def test_a_bad_column_as_input_is_refused(column, words):
    message = refusal(sf.fit, sf.PowerLaw, TABLE, inputs=column)
    assert missing_words(message, repr(column), *words) == []


def test_the_remedy_for_a_bad_row_of_an_input_works():
    assert len(sf.fit(sf.PowerLaw, TABLE.where("width > 0"), inputs="width").table) == 5


def test_a_row_with_a_cell_that_is_text_is_named():
    mixed = sf.LossTable.from_frame(FRAME.assign(mixed=pd.Series([1, 2, "three", 4, 5, 6], dtype=object)))
    assert missing_words(refusal(sf.fit, sf.PowerLaw, mixed, inputs="mixed"), "'mixed'", "row 2", "'three'") == []


@pytest.mark.parametrize(
    ("law", "inputs", "words"),
    [
        (sf.PowerLaw, ("params", "width"), ["PowerLaw takes 1 input column, not 2", "params", "width"]),
        (sf.PowerLaw, (), ["PowerLaw takes 1 input column, not 0"]),
        (sf.Chinchilla, "params", ["Chinchilla takes 2 input columns, not 1", "params"]),
        (sf.Chinchilla, ("params", "params"), ["'params' twice", "its own column"]),
        (sf.Chinchilla, None, ["'tokens'", "columns={'tokens': '...'}"]),
    ],
)
def test_a_wrong_number_of_inputs_is_refused(law, inputs, words):
    assert missing_words(refusal(sf.fit, law, TABLE, inputs=inputs), *words) == []


def test_a_law_of_one_column_asks_which_where_there_are_several():
    message = refusal(sf.fit, sf.PowerLaw, SURFACE.table)
    assert missing_words(message, "params, tokens, flops", 'inputs="params"') == []


def test_a_compute_column_that_is_absent_names_the_rule_that_derives_it():
    table = sf.LossTable.from_frame(FRAME[["params", "loss"]].assign(tokens=1e9))
    assert missing_words(refusal(sf.fit, sf.PowerLaw, table, inputs="flops"), "'flops'", "flops='6ND'") == []


def test_curves_need_a_law_of_one_column_and_columns_that_exist():
    message = refusal(sf.fit_curves, sf.Chinchilla, SURFACE.table, along="params", at="tokens")
    assert missing_words(message, "Chinchilla takes 2 columns", "law of one") == []
    message = refusal(sf.fit_curves, sf.PowerLaw, TABLE, along="params", at="widht")
    assert missing_words(message, "'widht'", "Did you mean 'width'?") == []


# What is fitted.


def test_a_law_with_numbers_is_refused_with_what_to_type():
    for verb, options in ((sf.fit, {}), (sf.fit_curves, {"along": "params", "at": "width"})):
        message = type_refusal(verb, sf.PowerLaw(E=1, A=2, alpha=0.3), TABLE, **options)
        assert missing_words(message, "PowerLaw(E=1, A=2, alpha=0.3)", "pass the class: fit(PowerLaw, table)") == []
    message = type_refusal(sf.fit, sf.LawRegressor(sf.HOFFMANN_2022), SURFACE.table)
    assert missing_words(message, "Law class", "alpha=0.34") == []


@pytest.mark.parametrize("model", ["power", None, dict, 3])
def test_what_is_no_law_is_refused(model):
    assert missing_words(type_refusal(sf.fit, model, TABLE), "Law class", repr(model)) == []


@pytest.mark.parametrize("law", [sf.Law, sf.SeparableLaw])
def test_a_law_without_parameters_is_refused(law):
    assert missing_words(type_refusal(sf.fit, law, TABLE), law.__name__, "no parameters", "PowerLaw") == []


def test_a_law_without_bounds_says_which_parameter_lacks_them():
    @dataclass(frozen=True)
    class Unbounded(sf.Law):
        E: float
        A: float
        bounds = {"E": (0, 10)}  # noqa: RUF012

        def value(self, x):
            return self.E + self.A / x

    assert missing_words(type_refusal(sf.fit, Unbounded, TABLE), "Unbounded.bounds", "for A") == []


@pytest.mark.parametrize("table", [FRAME, FRAME.to_dict(), "runs.csv"])
def test_what_is_no_table_is_refused_with_the_way_to_make_one(table):
    words = (type(table).__name__, "LossTable.from_frame")
    assert missing_words(type_refusal(sf.fit, sf.PowerLaw, table), *words) == []
    assert missing_words(type_refusal(sf.fit_curves, sf.PowerLaw, table, along="params", at="width"), *words) == []


# Calling a fit.


@pytest.mark.parametrize(
    ("columns", "named", "words"),
    [
        ((), {}, ["params, tokens", "nothing"]),
        ((1e9,), {}, ["params, tokens", "1 by order"]),
        ((1e9, 1e10, 1e11), {}, ["params, tokens", "3 by order"]),
        ((1e9,), {"params": 1e9}, ["params, tokens", "1 by order, params"]),
        ((), {"params": 1e9, "token": 1e10}, ["params, tokens", "params, token."]),
        ((), {"params": 1e9, "tokens": 1e10, "flops": 1e20}, ["params, tokens", "flops, params, tokens"]),
    ],
)
def test_a_call_with_missing_or_unknown_names_says_what_it_takes_and_got(columns, named, words):
    assert missing_words(type_refusal(SURFACE, *columns, **named), "takes", *words) == []
    law_says = type_refusal(SURFACE.law, *columns, **named)
    assert missing_words(law_says, "Chinchilla takes params, tokens") == []


@pytest.mark.parametrize("value", [0.0, -1e9, float("nan"), float("inf")])
def test_a_call_outside_of_what_a_count_can_be_is_refused(value):
    assert missing_words(refusal(FIT, value), "params", str(value), "positive and finite") == []
    message = refusal(SURFACE, [1e9, 1e9, 1e9], tokens=[1e9, value, value])
    assert missing_words(message, "tokens", str(value), "2 such values") == []


def test_a_call_with_nothing_gives_nothing():
    assert FIT([]).shape == (0,)
    assert SURFACE(np.ones((3, 0)), 1e9).shape == (3, 0)


# Writing.


def assert_not_written(folder, target, *words):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(OSError, match="could not be written") as error:
        FIT.save(target)
    assert missing_words(str(error.value), str(target), "another path", *words) == []
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_target_whose_parent_is_a_file(tmp_path):
    (tmp_path / "runs.csv").write_text("params,loss\n")
    assert_not_written(tmp_path, tmp_path / "runs.csv" / "fit.json", "Not a directory")


def test_a_target_in_no_folder(tmp_path):
    assert_not_written(tmp_path, tmp_path / "nowhere" / "fit.json", "No such file")


def test_a_target_that_is_a_folder(tmp_path):
    assert_not_written(tmp_path, tmp_path, "directory")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk(tmp_path):
    assert_not_written(tmp_path, Path("/dev/full"), "No space left")


def test_a_write_that_breaks_off_leaves_the_old_fit(tmp_path, monkeypatch):
    FIT.save(tmp_path / "fit.json")

    def half(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    assert_not_written(tmp_path, tmp_path / "fit.json", "No space left")
    assert [path.name for path in tmp_path.iterdir()] == ["fit.json"]


# Reading back.


def saved(tmp_path, **changes):
    """Path of a saved fit in which some keys, dots between their levels, have other values or are gone."""
    FIT.save(tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    for key, value in changes.items():
        *levels, last = key.split("__")
        place = content
        for level in levels:
            place = place[level]
        if value is None:
            del place[last]
        else:
            place[last] = value
    (tmp_path / "fit.json").write_text(json.dumps(content))
    return tmp_path / "fit.json"


@pytest.mark.parametrize(
    "junk", [b"", b"params,loss\n1e8,3\n", b"{", b"{}", b"[1]", b"7", b'"fit"', b"null", b"\xff\x00"]
)
def test_a_file_that_is_no_saved_fit_is_refused(junk, tmp_path):
    (tmp_path / "fit.json").write_bytes(junk)
    words = (str(tmp_path / "fit.json"), "not a saved fit", "fit.save(path)")
    assert missing_words(refusal(sf.read_fit, tmp_path / "fit.json"), *words) == []


@pytest.mark.parametrize("version", [0, 2, "1.0"])
def test_another_version_is_refused_by_number(version, tmp_path):
    (tmp_path / "fit.json").write_text(json.dumps({"scalefit": version}))
    message = refusal(sf.read_fit, tmp_path / "fit.json")
    assert missing_words(message, "fit.json", f"format {version}", "reads 1", "save again") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": None},
        {"protocol": 3},
        {"parameters__alpha": None},
        {"parameters__alpha": "steep"},
        {"parameters__gamma": 1.0},
        {"status": "FINE"},
        {"columns": None},
        {"columns__loss": None},
        {"columns__loss": [1.0]},
        {"columns__loss": [3.0, 2.9, 2.8, 2.7, 2.6, -1.0]},
        {"protocol__objective__name": "Tukey"},
        {"protocol__inputs": ["tokens"]},
    ],
    ids=str,
)
def test_a_damaged_fit_is_refused_whole(changes, tmp_path):
    message = refusal(sf.read_fit, saved(tmp_path, **changes))
    assert missing_words(message, "fit.json is damaged", "save again") == []


def test_an_unknown_law_is_named_with_what_to_type(tmp_path):
    path = saved(tmp_path, protocol__law="Kinked")
    for options in ({}, {"law": sf.PowerLaw}):
        message = refusal(sf.read_fit, path, **options)
        assert missing_words(message, "fit.json", "'Kinked'", "read_fit(path, law=Kinked)") == []


@pytest.mark.parametrize("law", [sf.HOFFMANN_2022, "PowerLaw"])
def test_a_law_to_read_with_is_a_class(law, tmp_path):
    assert missing_words(type_refusal(sf.read_fit, saved(tmp_path), law=law), "Law class", repr(law)) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "fit.json"))):
        sf.read_fit(tmp_path / "fit.json")


# The bootstrap. Options of schemes are in test_schemes, tables that cannot be refitted in test_replicates.

LAW = sf.PowerLaw(1.7, 100.0, 0.25)
CURVE = sf.fit(sf.PowerLaw, sf.simulate(LAW, sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.01, seed=1))
BOOT = sf.bootstrap(CURVE, resamples=40)


@pytest.mark.parametrize("resamples", [0, 1, -5, 1e9, 10**9, 100.0, "100", None, True, np.array([10, 20])], ids=repr)
def test_resamples_are_a_whole_number_that_ends(resamples):
    message = refusal(sf.bootstrap, CURVE, resamples=resamples)
    assert missing_words(message, "resamples must be a whole number from 2 to 1000000", repr(resamples)) == []


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7", None, 2**80], ids=repr)
def test_a_seed_is_a_whole_number(seed):
    message = refusal(sf.bootstrap, CURVE, seed=seed)
    assert missing_words(message, "seed must be a whole number from 0", repr(seed)) == []


def test_whole_numbers_of_numpy_are_whole_numbers():
    first, second = (sf.bootstrap(CURVE, resamples=kind(9), seed=kind(2)) for kind in (int, np.int64))
    assert np.array_equal(first.values("alpha"), second.values("alpha"))


def test_more_resamples_than_memory_holds_are_refused_with_what_it_holds():
    fit = sf.fit(sf.PowerLaw, sf.simulate(LAW, sf.grid(params=np.geomspace(1e7, 1e10, 250)), noise=0.01))
    message = refusal(sf.bootstrap, fit, resamples=900_000)
    assert missing_words(message, "900000 resamples", "250 rows", "at most 400000") == []


@pytest.mark.parametrize(
    "what", [TABLE, sf.PowerLaw, LAW, CURVE.model, None, "pythia"], ids=lambda what: str(what)[:20]
)
def test_what_is_no_fit_is_not_resampled(what):
    message = type_refusal(sf.bootstrap, what)
    assert missing_words(message, "sf.fit or sf.fit_curves", type(what).__name__) == []


@pytest.mark.parametrize("scheme", ["wild", sf.Wild, 3, sf.wild_bca], ids=lambda scheme: repr(scheme)[:20])
def test_what_is_no_scheme_is_refused_with_those_there_are(scheme):
    message = type_refusal(sf.bootstrap, CURVE, scheme)
    assert missing_words(message, "Wild(...)", "Pairs(...)", "wild_bca()", repr(scheme)) == []


@pytest.mark.parametrize("scheme", [sf.Wild(by="nod"), sf.Pairs(by="nod")], ids=repr)
def test_clusters_by_a_column_that_is_absent_are_refused_before_any_refit(scheme):
    frame = CURVE.table.to_frame().assign(node=np.arange(12) // 2)
    fit = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame))
    message = refusal(sf.bootstrap, fit, scheme)
    assert missing_words(message, "'nod'", "Did you mean 'node'?") == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a"] * 12, ["'node'", "one cluster", "12 rows"]),
        (["a", None, *"bcdefghijk"], ["'node'", "row 1", "1 such rows", "where"]),
        ([1.0, np.nan, *range(10)], ["'node'", "row 1"]),
    ],
    ids=["one", "missing", "nan"],
)
@pytest.mark.parametrize("scheme", [sf.Wild, sf.Pairs])
def test_a_bad_column_of_clusters_is_refused(scheme, values, words):
    fit = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(CURVE.table.to_frame().assign(node=values)))
    assert missing_words(refusal(sf.bootstrap, fit, scheme(by="node")), *words) == []


@pytest.mark.parametrize(
    "values",
    [list("aabbccddeeff"), [True] * 6 + [False] * 6, [-1.0, 0.0] * 6, [2, "x", 3.5, True] * 3, [0, 0, 1, 1, 2, 2] * 2],
    ids=["strings", "bools", "negative and zero", "mixed", "integers"],
)
def test_clusters_of_any_kind_of_value_are_resampled(values):
    frame = CURVE.table.to_frame().assign(node=pd.Series(values, dtype=object if "x" in values else None))
    made = sf.bootstrap(sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame)), sf.Pairs(by="node"), resamples=10)
    assert made.units == len(set(values))


def test_a_table_that_was_changed_after_the_fit_is_refused():
    frame = CURVE.table.to_frame()
    others = (
        frame.assign(loss=1.001 * frame.loss),
        frame.assign(params=2 * frame.params),
        frame[:11],
        pd.concat([frame, frame[:1]]),
    )
    for other in others:
        message = refusal(sf.bootstrap, replace(CURVE, table=sf.LossTable.from_frame(other)))
        assert missing_words(message, "not the one that was fitted", f"{len(other)} rows", "Fit the table again") == []


def test_a_table_in_another_order_or_with_another_column_is_still_the_one_that_was_fitted():
    frame = CURVE.table.to_frame()
    for same in (frame[::-1], frame.assign(node="a")):
        assert len(sf.bootstrap(replace(CURVE, table=sf.LossTable.from_frame(same)), resamples=10)) == 10


def test_weights_that_were_changed_after_the_fit_are_refused():
    frame = CURVE.table.to_frame().assign(count=np.arange(12) % 3 + 1)
    fit = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), weights="count")
    other = sf.LossTable.from_frame(frame.assign(count=1))
    assert missing_words(refusal(sf.bootstrap, replace(fit, table=other)), "not the one that was fitted") == []


# Statistics and intervals.


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, 1.0, float("nan"), "0.95", None, True], ids=repr)
def test_a_level_is_between_zero_and_one(level):
    message = refusal(BOOT.interval, "alpha", level)
    assert missing_words(message, "level must be between 0 and 1", "0.95", repr(level)) == []


@pytest.mark.parametrize("method", ["BCa", "studentized", "", 3, []], ids=repr)
def test_an_unknown_method_is_refused_with_those_there_are(method):
    message = refusal(BOOT.interval, "alpha", method=method)
    assert missing_words(message, "'percentile_t'", "'percentile'", "'bca'", "'basic'", repr(method)) == []


def test_an_unknown_parameter_is_refused_with_those_there_are():
    for ask in (BOOT.interval, BOOT.values, BOOT.jackknife, BOOT.estimate, BOOT.standard_error):
        assert missing_words(refusal(ask, "beta"), "'beta'", "E, A, alpha", "lambda fit") == []


@pytest.mark.parametrize("statistic", [3, None, ["alpha"], np.array([1.0])], ids=repr)
def test_what_is_no_statistic_is_refused(statistic):
    message = type_refusal(BOOT.interval, statistic)
    assert missing_words(message, "a parameter, inputs to predict at, or a function of a fit", repr(statistic)) == []


def test_inputs_of_a_forecast_are_those_of_the_fit():
    assert missing_words(type_refusal(BOOT.interval, {"tokens": 1e9}), "this fit takes params", "tokens") == []
    assert missing_words(type_refusal(BOOT.interval, {}), "this fit takes params", "nothing") == []
    both = {"params": 1e9, "tokens": 1e9}
    assert missing_words(type_refusal(BOOT.interval, both), "this fit takes params", "tokens") == []
    assert missing_words(refusal(BOOT.interval, {"params": -1.0}), "params must be positive", "-1") == []


@pytest.mark.parametrize("value", [[1.0, 2.0], np.array([1.0])], ids=repr)
def test_a_statistic_of_several_numbers_is_refused_with_its_shape(value):
    message = type_refusal(BOOT.interval, lambda fit: value)
    assert missing_words(message, "one number", str(np.shape(value))) == []


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, AttributeError])
def test_what_a_statistic_raises_for_the_fit_itself_passes_through(error):
    def statistic(fit):
        raise error("from the statistic")

    with pytest.raises(error, match="from the statistic"):
        BOOT.interval(statistic)


@pytest.mark.parametrize("failure", ["raises", "nan", "inf", "array", "None"])
def test_a_statistic_without_a_value_for_some_refits_counts_them(failure):
    made = sf.bootstrap(CURVE, resamples=1000)
    rare = np.quantile(made.values("alpha"), 0.93)

    def statistic(fit):
        if fit.law.alpha <= rare:
            return fit.law.E
        if failure == "raises":
            raise ValueError("no value")
        return {"nan": np.nan, "inf": np.inf, "array": np.ones(2), "None": None}[failure]

    interval = made.interval(statistic)
    assert np.isnan(made.values(statistic)).sum() == 70
    assert [(doubt.name, about) for doubt, about in interval.doubts] == [("SOME_FAILED", "70 of 1000")]
    kept = made.values("E")[made.values("alpha") <= rare]
    assert interval.standard_error == pytest.approx(kept.std(ddof=1), rel=1e-12)


def test_a_fixed_parameter_is_a_point():
    made = sf.bootstrap(sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 1.7}), CURVE.table), resamples=40)
    assert tuple(made.interval("E")) == (1.7, 1.7)
    assert made.parameters == ("A", "alpha")
