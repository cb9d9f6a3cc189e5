"""What a folder says of its sweep: the tables of its file, where workers find the data, and their digests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .data_recipes import KINDS
from .jobs import TABLES
from .sweeps import Sweep

STATEMENT, DATA = "sweep.json", "data"


def placed(sweep: Sweep, entries: dict[str, Any]) -> tuple[dict[str, Any], list[Path]]:
    """Entries of the data as workers find them, and the files that are to be copied to the folder."""
    paths = list(dict.fromkeys(Path(one.path) for one in sweep.recipes if one.path is not None))
    if not paths:
        return entries, []
    files = [path for path in paths if path.is_file()]
    names = [path.name for path in files]
    if len(set(names)) < len(names):
        raise ValueError(f"files of the data have one name: {', '.join(sorted(map(str, files)))}. Give each its own.")
    told = [str(Path(DATA, path.name) if path in files else path.resolve()) for path in paths]
    return {**entries, "path": told if isinstance(entries["path"], list) else told[0]}, files


def unplaced(entries: Any) -> Any:
    """Entries of a table without where its data lie: digests tell whether they are the same."""
    return {name: value for name, value in entries.items() if name != "path"} if isinstance(entries, dict) else entries


def read_statement(folder: Path) -> dict[str, Any]:
    """What sweep the folder has."""
    target = folder / STATEMENT
    if not target.is_file():
        raise ValueError(f"{folder} has no sweep. Start one with: scaletrain run SWEEP -o {folder}")
    try:
        content = dict(json.loads(target.read_text(encoding="utf-8")))
        if set(content) - set(KINDS) != {*TABLES, "digests", "stack"} or len(set(content) & set(KINDS)) != 1:
            raise ValueError("it has other entries")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{target} is no sweep of scaletrain ({error}). Choose another folder.") from error
    return content
