"""Engines start workers and nothing else: processes of this machine, tasks of Ray, jobs of Slurm.

What is done, by whom and how often is the ledger's business, so that an engine may lose workers as it likes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from .endings import BAD_INPUT, INTERRUPTED
from .working import Worked, Worker

PATIENCE = 60.0  # seconds in which a worker that was asked to end must have saved
LONGEST = 24 * 60  # minutes of a Slurm job, our choice; SBATCH_TIMELIMIT says another
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
START = "import sys; from scaletrain.engines import begin; begin(*sys.argv[1:])"


@dataclass(frozen=True)
class Ended:
    """A worker that has ended.

    Attributes
    ----------
    name : str
    words : str
        Why, if that was no end of the sweep.
    """

    name: str
    words: str = ""


class Crew(Protocol):
    """Workers that an engine started."""

    @property
    def alive(self) -> int:
        """How many there are."""

    def ended(self) -> list[Ended]:
        """Those that ended since this was asked last."""

    def stop(self) -> None:
        """Let them save, give their packs back and end; returns when they have."""


class LocalCrew:
    """Processes of this machine, each with one thread and, on CUDA, one GPU.

    Parameters
    ----------
    folder : path
        Of the sweep.
    device : str
        cpu or cuda.
    workers : int, optional
        One for each core or visible GPU.
    """

    def __init__(self, folder: Path, *, device: str, workers: int | None = None) -> None:
        slots = _gpus() if device == "cuda" else [""] * _cores()
        self._processes: dict[str, tuple[subprocess.Popen[bytes], Any]] = {}
        for number in range(workers or len(slots)):
            said, name = tempfile.TemporaryFile(), f"{device}{number}"  # noqa: SIM115
            environment = os.environ | ONE_THREAD
            if device == "cuda":
                environment["CUDA_VISIBLE_DEVICES"] = slots[number % len(slots)]
            process = subprocess.Popen(
                [sys.executable, "-c", START, str(folder), name, device, str(os.getpid())], env=environment,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,  # ^C reaches us alone
            )  # fmt: skip
            self._processes[name] = process, said

    @property
    def alive(self) -> int:
        """How many there are."""
        return len(self._processes)

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [process.pid for process, _ in self._processes.values()]

    def ended(self) -> list[Ended]:
        """Those that ended since this was asked last."""
        found = []
        for name, (process, said) in list(self._processes.items()):
            if process.poll() is not None:
                del self._processes[name]
                found.append(Ended(name, _words(process.returncode, said)))
                said.close()
        return found

    def stop(self) -> None:
        """Let them save, give their packs back and end; returns when they have."""
        for process, _ in self._processes.values():
            process.terminate()
        for process, said in self._processes.values():
            try:
                process.wait(PATIENCE)
            finally:  # too slow, or a second ^C
                process.kill()
                process.wait()
                said.close()
        self._processes.clear()


def begin(folder: str, name: str, device: str, parent: str) -> None:
    """Be a worker of `LocalCrew`, until a signal or the end of the parent says no."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Worker(folder, name, device, int(parent))(note=lambda words: print(words, file=sys.stderr))  # noqa: T201
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (ValueError, OSError, ImportError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(BAD_INPUT)


class RayCrew:
    """Tasks of Ray, one for each core or GPU of its cluster; without one, Ray starts it on this machine.

    Parameters
    ----------
    folder, device, workers
        As of `LocalCrew`.
    """

    def __init__(self, folder: Path, *, device: str, workers: int | None = None) -> None:
        self._ray = ray = _package("ray", "ray")
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False)
        kind = "GPU" if device == "cuda" else "CPU"
        slots = int(ray.cluster_resources().get(kind, 0))
        if not slots:
            ray.shutdown()
            raise ValueError(f"Ray has no {kind} here. Choose another --device.")
        work = ray.remote(num_cpus=1, num_gpus=int(device == "cuda"), max_retries=0)(_work)
        made = [Worker(str(folder.absolute()), f"ray{number}", device) for number in range(workers or slots)]
        self._tasks = {work.remote(worker): worker.name for worker in made}

    @property
    def alive(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def ended(self) -> list[Ended]:
        """Those that ended since this was asked last."""
        if not self._tasks:
            return []
        ready, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        return [Ended(self._tasks.pop(task), _fault(partial(self._ray.get, task))) for task in ready]

    def stop(self) -> None:
        """Let them save, give their packs back and end; returns when they have."""
        for task in self._tasks:
            self._ray.cancel(task)  # a KeyboardInterrupt there
        if self._tasks:
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=PATIENCE)
        self._tasks.clear()
        self._ray.shutdown()


class SlurmCrew:
    """An array of Slurm jobs through submitit; where there is no Slurm, submitit starts them on this machine.

    Partition, account and time are those of sbatch: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT. A job that
    comes to the end of its time is queued again.

    Parameters
    ----------
    folder, device
        As of `LocalCrew`.
    workers : int
        Jobs.
    """

    def __init__(self, folder: Path, *, device: str, workers: int | None = None) -> None:
        if workers is None:
            raise ValueError("Slurm must be told how many jobs to start, such as --workers 8.")
        submitit = _package("submitit", "slurm")
        executor = submitit.AutoExecutor(folder=folder / "slurm")
        executor.update_parameters(
            name="scaletrain", timeout_min=LONGEST, cpus_per_task=1, gpus_per_node=int(device == "cuda")
        )
        made = [Worker(str(folder.absolute()), f"slurm{number}", device) for number in range(workers)]
        self._jobs = dict(zip((one.name for one in made), executor.map_array(SlurmWork(), made), strict=True))

    @property
    def alive(self) -> int:
        """How many there are."""
        return len(self._jobs)

    def ended(self) -> list[Ended]:
        """Those that ended since this was asked last."""
        names = [name for name, job in self._jobs.items() if job.done()]
        return [Ended(name, _fault(self._jobs.pop(name).result)) for name in names]

    def stop(self) -> None:
        """Ask them to save, give their packs back and end; Slurm gives them its KillWait for that."""
        for job in self._jobs.values():
            job.cancel(check=False)
        self._jobs.clear()


class SlurmWork:
    """What a Slurm job does."""

    def __call__(self, worker: Worker) -> Worked:
        """Be a worker; SIGTERM, by scancel or for a job of more importance, saves and gives the pack back."""
        return _work(worker)

    def checkpoint(self, worker: Worker) -> Any:
        """What submitit queues again when the time is over; the work has been saved as by ^C."""
        return _package("submitit", "slurm").helpers.DelayedSubmission(self, worker)


#: Engines by the name of `scaletrain run --engine`.
ENGINES: dict[str, Callable[..., Crew]] = {"local": LocalCrew, "ray": RayCrew, "slurm": SlurmCrew}


def _work(worker: Worker) -> Worked:
    """Be a worker in a process of somebody else."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background ignores the latter, and Ray stops by it
            signal.signal(number, signal.default_int_handler)
    return worker()


def _package(name: str, extra: str) -> Any:
    """A package of an extra."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"--engine {extra} needs {name}, the extra '{extra}'. Install it from the clone: pip install '.[{extra}]'"
        ) from error


def _fault(result: Callable[[], Any]) -> str:
    """What a worker that has ended says went wrong."""
    try:
        result()
    except BaseException as error:  # whatever an engine raises for a worker that died
        if isinstance(error, KeyboardInterrupt):
            raise
        return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return ""


def _words(code: int, said: Any) -> str:
    """Why a process ended: nothing if it came to the end of the sweep."""
    if code == 0:
        return ""
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()[-3:]
    how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{how}: {' '.join(lines)}" if lines else how


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    found = named or [str(number) for number in range(torch.cuda.device_count())]
    if not found:
        raise ValueError("there is no GPU here. Use --device cpu.")
    return found
