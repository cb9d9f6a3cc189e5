"""Who holds a claim: what the name of a claimed folder tells, and whether that process is known to be dead."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

RUNNING = "running"
BETWEEN = "~"  # fields of the name of a claimed folder


@dataclass(frozen=True)
class Claimant:
    """Who holds a claim, as the name of the folder tells.

    Attributes
    ----------
    worker, host : str
        Names.
    machine : str
        Boot and process namespace; empty where the system does not tell.
    pid, started : str
        The process, and when it started in ticks since boot: a number alone is given again.
    since : float, seconds since 1970
        When it claimed, by its own clock: to be shown, never compared.
    """

    worker: str = ""
    host: str = ""
    machine: str = ""
    pid: str = ""
    started: str = ""
    since: float = float("nan")

    @classmethod
    def of_name(cls, name: str) -> Claimant:
        """Claimant of a folder; one that says nothing if the name is not made by `claim_name`."""
        parts = name.split(BETWEEN)
        if len(parts) != 7 or not parts[6].isdigit():
            return cls()
        _, worker, host, machine, pid, started, since = parts
        return cls(worker, host, machine, pid, started, int(since) / 1e9)

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to be gone: it ran on this machine and is no more. Never a guess."""
        if not self.machine or self.machine != _machine() or not self.pid.isdigit():
            return False
        try:
            os.kill(int(self.pid), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except OSError:  # somebody else's
            return False
        state, started = _process(self.pid)
        buried_late = state in ("Z", "X")
        another = bool(started and self.started) and started != self.started
        return buried_late or another


def claim_name(worker: str) -> str:
    """Name that a work folder gets by a claim of this process; no other claim ever has the same.

    Raises
    ------
    ValueError
        If the worker's name cannot be part of the name of a folder.

    Examples
    --------
    >>> Claimant.of_name(claim_name("gpu0")).worker
    'gpu0'
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", worker):
        raise ValueError(f"a worker's name has 1 to 40 of A-Z, a-z, 0-9, dot, dash and underscore, not {worker!r}.")
    host = re.sub(r"[^A-Za-z0-9._-]", "_", platform.node())[:30]
    pid = str(os.getpid())
    return BETWEEN.join((RUNNING, worker, host, _machine(), pid, _process(pid)[1], str(time.time_ns())))


def _machine() -> str:
    """Name of this boot of this machine and of the process namespace; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:8]}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _process(pid: str) -> tuple[str, str]:
    """State of a process, and when it started; empty where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]  # fields 3 and 22 of proc(5); the name before them may hold anything
    except (OSError, IndexError):
        return "", ""
