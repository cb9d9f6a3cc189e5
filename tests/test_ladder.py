"""The entropy ladder: offsets, exponents and intervals are those of the curves; what is drawn is what it says."""

import io
from dataclasses import FrozenInstanceError, replace
from functools import cache

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import scalefit as sf
from runs import refusal
from scalefit.drawing import PALETTE
from scalefit.intervals import Doubt
from scalefit.ladder import OF_BOOTSTRAP, entropy_ladder
from scalefit.ladder_plots import REFUSED, plot_ladder

DESIGN = sf.grid(params=np.geomspace(1e6, 1e9, 6), tokens=np.geomspace(1e7, 1e10, 7))
LAWS = {
    "text": sf.Chinchilla(E=1.7, A=50, B=200, alpha=0.3, beta=0.35),
    "bigram": sf.Chinchilla(E=4.0, A=900, B=9000, alpha=0.6, beta=0.65),
    "T1L": sf.Chinchilla(E=2.6, A=250, B=1900, alpha=0.45, beta=0.5),
}
EXACT = {name: sf.simulate(law, DESIGN) for name, law in LAWS.items()}
NOISY = {name: sf.simulate(law, DESIGN, noise=5e-4, seed=3) for name, law in LAWS.items()}
LIKE_TEXT = sf.LossTable.from_frame(EXACT["text"].to_frame())
WITHOUT_TOKENS = sf.LossTable.from_frame(EXACT["text"].to_frame().drop(columns="tokens"))
SMALL = sf.grid(params=np.geomspace(1e6, 1e9, 4), tokens=np.geomspace(1e7, 1e10, 4))
RISING = sf.LossTable.from_frame(SMALL.assign(loss=3.0 + 1e-12 * SMALL["params"]))


@cache
def three():
    """Ladder of the three noisy tables, made once and not while tests are collected."""
    return entropy_ladder(NOISY, resamples=100)


def curves(table, law=sf.PowerLaw):
    return [sf.fit_curves(law, table, along=a, at=b) for a, b in (("params", "tokens"), ("tokens", "params"))]


def test_without_noise_offsets_and_exponents_are_those_of_the_laws():
    ladder = entropy_ladder({name: EXACT[name] for name in ("text", "bigram")}, resamples=5)
    assert [rung.name for rung in ladder] == ["bigram", "text"]
    for rung in ladder:
        law = LAWS[rung.name]
        # E of L(D) at the largest size is E + A / N^alpha, and of L(N) at the most tokens E + B / D^beta
        offset = min(law.E + law.A * 1e9**-law.alpha, law.E + law.B * 1e10**-law.beta)
        assert rung.entropy.estimate == pytest.approx(offset, rel=1e-5)
        assert rung.alpha.estimate == pytest.approx(law.alpha, rel=1e-4)
        assert rung.beta.estimate == pytest.approx(law.beta, rel=1e-4)
        assert rung.sd("params") < 1e-4


def test_intervals_are_those_of_the_bootstrap_of_the_curves():
    rung = next(rung for rung in three() if rung.name == "text")
    boots = dict(zip(("alpha", "beta"), (sf.bootstrap(c, resamples=100) for c in curves(NOISY["text"])), strict=True))
    for name, boot in boots.items():
        own = boot.interval("alpha")  # PowerLaw calls both exponents alpha
        found = getattr(rung, name)
        assert (found.statistic, found.estimate, *found) == (name, own.estimate, *own)
    low, high = boots["alpha" if "L(params)" in rung.at else "beta"].interval(lambda found: found.array("E").min())
    assert tuple(rung.entropy) == (low, high)
    assert rung.entropy.statistic == "entropy"
    offsets = np.concatenate([boot.base.array("E") for boot in boots.values()])
    assert rung.entropy.estimate == offsets.min()


def test_the_slice_of_the_smallest_offset_is_named():
    rung = three().rungs[0]
    along, _, at, value = rung.at.removeprefix("L(").replace(") at", " at").split()
    slices = rung.curves[along]
    assert slices.at == at
    place = int(np.argmin(np.abs(slices.values / float(value) - 1)))
    assert slices[place].parameters["E"] == rung.entropy.estimate


def test_order_of_the_tables_and_how_they_are_given_do_not_matter():
    fitted = [(name, curves(table)[::-1]) for name, table in reversed(NOISY.items())]
    assert repr(entropy_ladder(fitted, resamples=100)) == repr(three())


def test_an_offset_at_zero_is_none():
    frame = NOISY["text"].to_frame()
    cut = frame["params"] == frame["params"].max()
    frame.loc[cut, "loss"] = 5 * (frame.loc[cut, "tokens"] / 1e7) ** -0.2  # L(D) of the largest size without a floor
    ladder = entropy_ladder({"text": sf.LossTable.from_frame(frame)}, resamples=50)
    rung = ladder.rungs[0]
    assert rung.slices("tokens") == (5, 6)
    assert rung.entropy.estimate > 0.1
    assert not ladder.ok
    assert "text: 1 of 6 slices along tokens, at one params each, are not ok and left out." in ladder.notes
    assert repr(ladder).startswith("NOT OK  text: ")
    row = ladder.to_frame().iloc[0]
    assert (row["beta_ok"], row["beta_slices"]) == (5, 6)


def test_what_is_printed_and_exported_are_the_same_numbers():
    frame, lines = three().to_frame(), repr(three()).splitlines()
    assert lines[0] == "ok      all slices of 3 data sets are ok"
    assert [line.split()[0] for line in lines[3:6]] == frame["dataset"].tolist() == ["bigram", "T1L", "text"]
    assert frame["entropy"].is_monotonic_decreasing
    content = three().to_dict()
    for rung, (_, row) in zip(content["rungs"], frame.iterrows(), strict=True):
        for name in ("entropy", "alpha", "beta"):
            assert (rung[name]["estimate"], rung[name]["low"]) == (row[name], row[f"{name}_low"])
            assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
    assert "<table" in three()._repr_html_()
    with pytest.raises(FrozenInstanceError):
        three().level = 0.5


def test_every_doubt_of_an_interval_is_said():
    ladder = three()
    shared = Doubt.NO_CLUSTERS.value.removesuffix(OF_BOOTSTRAP)
    assert shared != Doubt.NO_CLUSTERS.value
    assert ladder.doubts[0] == f"entropy, alpha: {shared}"  # of all data sets: each grid shares its sizes
    first, *others = ladder.rungs
    leaning = replace(first.entropy, doubts=((Doubt.OFF_CENTRE, ""), *first.entropy.doubts))
    one = replace(ladder, rungs=(replace(first, entropy=leaning), *others))
    assert set(one.doubts) == {*ladder.doubts, f"entropy of bigram: {Doubt.OFF_CENTRE.value}"}
    assert one.ok  # a doubt leaves a number, and its slices are ok
    assert repr(one).splitlines()[-len(one.doubts) :] == list(one.doubts)
    assert one.to_dict()["doubts"] == list(one.doubts)
    assert "lies outside its interval" in one._repr_html_()
    refused = replace(first.entropy, doubts=((Doubt.TOO_FEW_DRAWS, ""),))
    alone = replace(ladder, rungs=(replace(first, entropy=refused),))
    assert not any(Doubt.TOO_FEW_DRAWS.value in doubt for doubt in alone.doubts)  # that is a note
    assert any(Doubt.TOO_FEW_DRAWS.value in note for note in alone.notes)


def test_a_data_set_without_a_fit_leaves_the_others_alone():
    sets = {"a": RISING, "text": EXACT["text"], "b": sf.load("pythia"), "bigram": EXACT["bigram"]}
    ladder = entropy_ladder(sets, resamples=5)
    apart = entropy_ladder({name: EXACT[name] for name in ("text", "bigram")}, resamples=5)
    assert str(ladder.to_dict()["rungs"]) == str(apart.to_dict()["rungs"])  # nan is not nan
    assert list(ladder.left_out) == ["a", "b"]
    assert not ladder.ok
    assert ladder.notes[0].startswith("left out: 'a': none of 4 fits along params is ok")
    assert ladder.notes[1] == "left out too: b."
    frame = ladder.to_frame()
    assert frame["dataset"].tolist() == ["bigram", "text", "a", "b"]
    counts = ["alpha_ok", "alpha_slices", "beta_ok", "beta_slices"]
    assert frame.drop(columns=["dataset", *counts]).iloc[2:].isna().all(axis=None)
    assert frame[counts].iloc[2:].to_numpy().tolist() == [[0] * 4] * 2
    assert [line.split() for line in repr(ladder).splitlines() if line[:2] in ("a ", "b ")] == [
        ["a", *"------"], ["b", *"------"]
    ]  # fmt: skip


@pytest.mark.parametrize(("floor", "words"), [
    (1.0, "leaves out the floor that is known, 1 in the column 'loss_floor': the offsets hold what the fixed tokens"),
    (9.0, "leaves out the floor that is known, 9 in the column 'loss_floor': the smallest of many offsets leans"),
    (1.763, ""),
    (np.nan, ""),
])  # fmt: skip
def test_an_entropy_beside_a_known_one(floor, words):
    rung = next(one for one in three() if one.name == "text")
    assert rung.entropy.low < 1.763 < rung.entropy.high
    table = sf.LossTable.from_frame(NOISY["text"].to_frame().assign(loss_floor=floor))
    ladder = entropy_ladder({"text": table}, resamples=100)
    assert tuple(ladder.rungs[0].entropy) == tuple(rung.entropy)
    assert ladder.doubts[-1].startswith("entropy of text: ") == bool(words)
    assert words in ladder.doubts[-1]
    np.testing.assert_equal(ladder.to_frame()["loss_floor"][0], floor)


@pytest.mark.parametrize("floors", ["unknown", None, np.inf, [1.0, 1.2], [1.0, np.nan]])
def test_floors_that_are_not_one_number_are_none(floors):
    frame = EXACT["text"].to_frame()
    frame["loss_floor"] = np.resize(np.array(floors), len(frame)) if isinstance(floors, list) else floors
    ladder = entropy_ladder({"text": sf.LossTable.from_frame(frame)}, resamples=5)
    assert np.isnan(ladder.rungs[0].floor)
    assert not any("floor" in doubt for doubt in ladder.doubts)


def test_refused_intervals_of_one_reason_are_one_note():
    few = {name: sf.simulate(LAWS[name], SMALL, noise=0.001) for name in LAWS}
    ladder = entropy_ladder(few, resamples=50)
    assert all(rung.alpha.refused for rung in ladder)
    (note,) = [note for note in ladder.notes if "interval of alpha" in note]
    assert all(rung.name in note for rung in ladder)


def test_work_that_is_done_is_told():
    told = []
    some = {name: EXACT[name] for name in ("text", "bigram")}
    entropy_ladder(some, resamples=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_a_name_cannot_move_the_cursor():
    ladder = replace(three(), rungs=(replace(three().rungs[0], name="\x1b[2Jx"),))
    assert "\x1b" not in repr(ladder)
    assert all("\x1b" not in text.get_text() for text in plot_ladder(ladder).texts)


# The picture.


def test_points_and_bars_are_the_estimates_and_intervals():
    ax, frame = plot_ladder(three()), three().to_frame()
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    for line, name, colour in zip(lines, ("alpha", "beta"), PALETTE, strict=False):
        np.testing.assert_array_equal(line.get_xdata(), frame["entropy"])
        np.testing.assert_array_equal(line.get_ydata(), frame[name])
        assert to_rgb(line.get_color()) == to_rgb(colour)
    bars = np.array([path for found in ax.collections for path in found.get_segments()])
    up = bars[bars[:, 0, 0] == bars[:, 1, 0]]
    np.testing.assert_array_equal(np.sort(up[:3, :, 1].ravel()), np.sort(frame[["alpha_low", "alpha_high"]], axis=None))
    assert [text.get_text() for text in ax.texts] == ["bigram", "T1L", "text"]
    assert REFUSED not in [text.get_text() for text in ax.get_legend().get_texts()]
    ax.figure.savefig(io.BytesIO(), format="png")


def test_a_refused_interval_has_no_bar_and_a_hollow_point():
    ladder = entropy_ladder({"few": sf.simulate(LAWS["text"], SMALL, noise=0.001)}, resamples=50)
    assert ladder.rungs[0].alpha.refused
    ax = plot_ladder(ladder)
    assert REFUSED in [text.get_text() for text in ax.get_legend().get_texts()]
    point = next(line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1)
    assert to_rgb(point.get_markerfacecolor()) == (1.0, 1.0, 1.0)
    assert not np.size(ax.collections[0].get_segments())
    ax.figure.savefig(io.BytesIO(), format="png")


# Bad input.


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({}, "there is no data set"),
        ([("a", EXACT["text"]), ("a", EXACT["T1L"])], "the data set 'a' is given twice"),
        ({"a": EXACT["text"], "b": LIKE_TEXT}, "'a' and 'b' are the same table"),
        ({"a": WITHOUT_TOKENS}, "the table of 'a' has no tokens"),
        ({"text": EXACT["text"], "a": WITHOUT_TOKENS}, "the table of 'a' has no tokens"),
        ({"a": sf.load("pythia")}, "the table of 'a': No slice at constant params can be used"),
        ({"a": EXACT["text"].where(tokens=1e7)}, "the table of 'a': "),
        ({"a": curves(EXACT["text"])[:1]}, "along params and along tokens, once each, not along ['params']"),
        ({"a": curves(EXACT["text"])[:1] * 2}, "not along ['params', 'params']"),
        (
            {"a": curves(EXACT["text"], sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}))},
            "'a': no fit has a free offset E",
        ),
        ({"a": RISING}, "none of 4 fits along params is ok, so there is neither an offset nor an exponent"),
    ],
)  # fmt: skip
def test_bad_input_is_named(sources, words):
    assert words in refusal(entropy_ladder, sources, resamples=10)


def test_slices_that_cannot_be_are_refused_whatever_is_given():
    for options, words in (({"rtol": -1}, "rtol must be zero or positive"), ({"min_rows": 1}, "min_rows must be")):
        assert words in refusal(entropy_ladder, {"a": curves(EXACT["text"]), "b": EXACT["T1L"]}, **options)


def test_of_several_without_a_fit_the_first_is_told():
    words = refusal(entropy_ladder, {"a": RISING, "b": sf.load("pythia")}, resamples=5)
    assert words.startswith("none of 2 data sets can be fitted. The first: 'a': none of 4 fits")


def test_what_is_no_table_and_no_ladder_is_refused():
    with pytest.raises(TypeError, match="names of data sets are text, not 3"):
        entropy_ladder({3: EXACT["text"]})
    with pytest.raises(TypeError, match="'a' must be a LossTable, or the Curves"):
        entropy_ladder({"a": EXACT["text"].to_frame()})
    with pytest.raises(TypeError, match="draws an EntropyLadder"):
        plot_ladder(EXACT["text"])
