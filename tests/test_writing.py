"""Files are written whole or not at all, also where the writing is interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalefit.writing import write_whole


def test_an_interruption_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    target = tmp_path / "fit.json"
    write_whole(target, "old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
