"""Files are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file whole or not at all, text as UTF-8."""
    target = Path(path)
    if target.exists() and not target.is_file():  # a device such as /dev/stdout: nothing to replace
        partial = target
    else:
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        if partial != target:
            partial.replace(target)
    except BaseException as error:
        if partial != target and target.parent.is_dir():
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):  # an interruption
            raise
        raise OSError(f"{target} could not be written ({error.strerror}). Choose another path.") from error
