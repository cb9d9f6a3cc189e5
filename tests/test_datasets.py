"""Data sets: shipped tables obey their own rules, downloads are checked, and nothing touches the network."""

import dataclasses
import hashlib
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from scalefit import datasets
from scalefit.datasets import DATASETS, Download, load, names

SHIPPED = [name for name, dataset in DATASETS.items() if dataset.shipped]
CHECKOUT_DATA = Path(__file__).parents[1] / "data"
CHINCHILLA = DATASETS["chinchilla"]

needs_chinchilla = pytest.mark.skipif(
    not (Path(os.environ.get("SCALEFIT_DATA") or os.devnull) / CHINCHILLA.file).is_file(),
    reason=f"SCALEFIT_DATA names no folder with {CHINCHILLA.file}",
)


# Shipped tables against their own stated rules.


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_table_has_the_rows_that_it_states(name):
    frame = load(name).to_frame()
    assert len(frame) == DATASETS[name].rows
    assert frame["run"].is_unique
    assert np.isfinite(frame[["params", "tokens", "loss"]]).all(axis=None)


@pytest.mark.parametrize("name", SHIPPED)
def test_loading_twice_gives_equal_tables(name):
    pd.testing.assert_frame_equal(load(name).to_frame(), load(name).to_frame())


def test_pythia_loss_is_its_bits_in_nats():
    frame = load("pythia").to_frame()
    # The file prints nine decimals.
    np.testing.assert_allclose(frame["loss"], frame["loss_bits"] * math.log(2), rtol=0, atol=5.1e-10)


def test_pythia_marks_the_seventh_point_as_unused():
    assert load("pythia").to_frame()["kept"].tolist() == [True] * 6 + [False]
    assert len(load("pythia").where(kept=True).to_frame()) == 6


def test_pythia_has_no_flops_because_the_source_gives_none():
    assert "flops" not in load("pythia").to_frame()


def test_the_two_pythia_tables_count_the_same_models():
    digitised = load("pythia").to_frame()
    evaluated = load("pythia_cerebras").to_frame().set_index("run").loc[digitised["run"]]
    assert digitised["params"].tolist() == evaluated["params_nonembed"].tolist()
    assert digitised["params_total"].tolist() == evaluated["params"].tolist()
    assert digitised["tokens"].tolist() == evaluated["tokens"].tolist()


def test_pythia_cerebras_keeps_the_suspected_typo_as_printed():
    frame = load("pythia_cerebras").to_frame().set_index("run")
    assert frame.loc["pythia-1.4b-deduped", "loss"] == 1.889
    assert frame["deduped"].tolist() == [False] * 8 + [True] * 8


def test_cerebras_flops_are_not_6nd():
    frame = load("cerebras_gpt").to_frame()
    ratio = frame["flops"] / (6.0 * frame["params"] * frame["tokens"])
    # The bounds that the registry states, to their two decimals.
    assert (round(ratio.min(), 2), round(ratio.max(), 2)) == (1.10, 1.76)


def test_cerebras_gpt_leaves_out_only_what_no_source_gives():
    frame = load("cerebras_gpt").to_frame()
    unknown = frame[frame["params_nonembed"].isna()]
    assert unknown["run"].tolist() == ["gpt-neox-20b", "gpt-j-6b"]
    assert (unknown["family"] == "eleutherai").all()
    cerebras = frame[frame["family"] != "eleutherai"]
    np.testing.assert_allclose(cerebras["tokens"] / cerebras["params"], 20, rtol=1e-2)  # the source's rule, roughly


# The registry.


def test_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        DATASETS["mine"] = DATASETS["pythia"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        DATASETS["pythia"].rows = 8
    with pytest.raises(dataclasses.FrozenInstanceError):
        CHINCHILLA.download.sha256 = ""


def test_a_changed_frame_does_not_reach_the_next_load():
    frame = load("pythia").to_frame()
    frame["loss"] = 0.0
    assert (load("pythia")["loss"] > 1).all()


def test_every_set_states_its_conventions():
    assert names() == tuple(DATASETS)
    for name, dataset in DATASETS.items():
        stated = dataset.to_dict()
        assert stated["name"] == name
        assert stated["shipped"] is (stated["download"] is None)
        assert all(stated[field] for field in stated if field not in ("download", "shipped"))


def test_unknown_name_lists_the_names_and_the_closest():
    with pytest.raises(
        ValueError,
        match=r"unknown data set 'pythai'.*Did you mean 'pythia'.*cerebras_gpt, er_small, ladder, dials, chinchilla",
    ):
        load("pythai")
    with pytest.raises(ValueError, match=r"unknown data set 'runs.csv'\. Available.*LossTable\.read"):
        load("runs.csv")


# Where shipped files are looked for.


def test_package_data_comes_before_the_checkout(tmp_path, monkeypatch):
    package, checkout = tmp_path / "package", tmp_path / "checkout"
    for root in (package, checkout):
        root.mkdir()
        shutil.copy(CHECKOUT_DATA / "pythia.csv", root)
    monkeypatch.setattr(datasets, "_ROOTS", (package, checkout))
    assert datasets._shipped_file("pythia.csv") == package / "pythia.csv"
    (package / "pythia.csv").unlink()
    assert datasets._shipped_file("pythia.csv") == checkout / "pythia.csv"
    assert len(load("pythia").to_frame()) == 7


def test_shipped_files_are_those_of_the_checkout():
    for name in SHIPPED:
        file = DATASETS[name].file
        assert datasets._shipped_file(file).read_bytes() == (CHECKOUT_DATA / file).read_bytes()


def test_incomplete_installation_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_ROOTS", (tmp_path / "package", tmp_path / "checkout"))
    with pytest.raises(FileNotFoundError, match=r"pythia\.csv.*package.*checkout.*Install the package again"):
        load("pythia")


# Downloads: a stand-in for the server; the hash is that of the stand-in's file.


def content(losses):
    header = "x,y,color,Model Size,Training FLOP,hex_color,loss\n"
    rows = [f"1.0,2.0,#ffffff,{(i + 1) * 1e8},{(i + 1) * 1e19},#ffffff,{loss}\n" for i, loss in enumerate(losses)]
    return (header + "".join(rows)).encode()


CONTENT = content([3.0, 2.0, 9.0, 2.5, 8.0, 7.0, 6.0, 2.2])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The registry with the stand-in's hash, an empty cache folder, and no SCALEFIT_DATA."""
    download = Download(CHINCHILLA.download.url, hashlib.sha256(CONTENT).hexdigest())
    registry = {"chinchilla": dataclasses.replace(CHINCHILLA, download=download)}
    monkeypatch.setattr(datasets, "DATASETS", registry)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("SCALEFIT_DATA", raising=False)
    serve(monkeypatch, None)
    return tmp_path / "cache" / "scalefit"


def serve(monkeypatch, body):
    """What the server answers: `body`, or no network if None. Gives the list of requested addresses."""
    requested = []

    def answer(self, url, output_file, pooch, check_only=False):
        requested.append(url)
        if body is None:
            raise ConnectionError("Network is unreachable")
        Path(output_file).write_bytes(body)

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", answer)
    return requested


def test_download_happens_once_and_is_cached(cache, monkeypatch):
    requested = serve(monkeypatch, CONTENT)
    first, second = load("chinchilla").to_frame(), load("chinchilla").to_frame()
    assert requested == [CHINCHILLA.download.url]
    assert (cache / CHINCHILLA.file).read_bytes() == CONTENT
    pd.testing.assert_frame_equal(first, second)


def test_drawing_columns_go_and_tokens_come_from_6nd(cache, monkeypatch):
    serve(monkeypatch, CONTENT)
    table = load("chinchilla")
    frame = table.to_frame()
    assert set(frame) == {"params", "tokens", "flops", "loss", "kept"}
    assert frame["loss"].tolist() == [3.0, 2.0, 9.0, 2.5, 8.0, 7.0, 6.0, 2.2]
    assert frame["kept"].tolist() == [False, True, False, True, False, False, False, True]
    np.testing.assert_allclose(frame["tokens"], frame["flops"] / (6 * frame["params"]), rtol=1e-15)
    assert "6ND" in " ".join(map(str, table.notes))


def test_a_download_with_a_wrong_hash_is_refused_and_not_kept(cache, monkeypatch):
    serve(monkeypatch, CONTENT + b"\n")
    wrong = hashlib.sha256(CONTENT + b"\n").hexdigest()
    with pytest.raises(ValueError, match=f"(?s){hashlib.sha256(CONTENT).hexdigest()}.*{wrong}.*SCALEFIT_DATA"):
        load("chinchilla")
    assert list(cache.iterdir()) == []


def test_a_corrupted_cache_is_refused_and_left_alone(cache, monkeypatch):
    requested = serve(monkeypatch, CONTENT)
    cache.mkdir(parents=True)
    (cache / CHINCHILLA.file).write_bytes(b"corrupted")
    with pytest.raises(ValueError, match=r"SHA-256 is .*expected .*Delete it and load again"):
        load("chinchilla")
    assert (cache / CHINCHILLA.file).read_bytes() == b"corrupted"
    assert requested == []


def test_without_network_the_error_says_which_file_to_put_where(cache):
    with pytest.raises(OSError, match="cannot be downloaded") as caught:
        load("chinchilla")
    for part in (CHINCHILLA.download.url, str(cache / CHINCHILLA.file), "SCALEFIT_DATA"):
        assert part in str(caught.value)


def test_without_network_a_cached_file_is_enough(cache):
    cache.mkdir(parents=True)
    (cache / CHINCHILLA.file).write_bytes(CONTENT)
    assert len(load("chinchilla").to_frame()) == 8


# SCALEFIT_DATA: a folder that is only read.


def test_named_folder_comes_before_cache_and_network(cache, tmp_path, monkeypatch):
    requested = serve(monkeypatch, CONTENT)
    (tmp_path / CHINCHILLA.file).write_bytes(CONTENT)
    monkeypatch.setenv("SCALEFIT_DATA", str(tmp_path))
    assert len(load("chinchilla").to_frame()) == 8
    assert requested == []
    assert not cache.exists()


def test_wrong_file_in_the_named_folder_is_refused_and_left_alone(cache, tmp_path, monkeypatch):
    requested = serve(monkeypatch, CONTENT)
    path = tmp_path / CHINCHILLA.file
    path.write_bytes(b"not it")
    monkeypatch.setenv("SCALEFIT_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="unset SCALEFIT_DATA") as caught:
        load("chinchilla")
    for part in (str(path), hashlib.sha256(b"not it").hexdigest(), hashlib.sha256(CONTENT).hexdigest()):
        assert part in str(caught.value)
    assert path.read_bytes() == b"not it"
    assert requested == []


def test_named_folder_without_the_file_does_not_go_to_the_network(cache, tmp_path, monkeypatch):
    requested = serve(monkeypatch, CONTENT)
    monkeypatch.setenv("SCALEFIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="SCALEFIT_DATA is set") as caught:
        load("chinchilla")
    assert str(tmp_path / "nowhere" / CHINCHILLA.file) in str(caught.value)
    assert requested == []
    assert not (tmp_path / "nowhere").exists()


@needs_chinchilla
def test_chinchilla_is_245_runs_of_which_240_are_kept():
    table = load("chinchilla")
    frame = table.to_frame()
    assert len(frame) == CHINCHILLA.rows == 245
    assert frame["kept"].sum() == 240
    dropped = frame.loc[~frame["kept"], "loss"].tolist()
    # The five losses that Besiroglu et al. drop; the file's own digits, so nine of them must agree.
    assert sorted(dropped) == pytest.approx([3.44699543, 3.76556292, 3.79387224, 4.66523207, 5.005582], rel=1e-8)
    assert frame["loss"].iloc[0] == pytest.approx(5.005581996196243, rel=1e-15)  # row order as in the file
    assert (frame["flops"] < 1e21).sum() == 222
    assert (table.where(kept=True).to_frame()["flops"] < 1e21).sum() == 217
