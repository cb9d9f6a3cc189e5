"""Worker of the tests of the ledger: it hashes for milliseconds, keeps checkpoints, and dies or starves when told to.

python ledger_worker.py FOLDER NAME LOG '{"operations": [12, 5]}'
"""

import errno
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from scalefit.writing import write_whole
from scaletrain.claiming import LostClaimError
from scaletrain.ledger import Ledger

STEPS, ROWS = 4, 3


def do(claim, *, log=lambda words: None, pause=0.0, name="nobody"):
    """Work on a pack: a chain of hashes, a checkpoint after each."""
    checkpoint = claim.folder / "checkpoint.json"
    state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"step": 0, "value": str(claim.pack["seed"])}
    while state["step"] < STEPS:
        claim.beat()
        log(f"step {claim.id}")
        state = {"step": state["step"] + 1, "value": hashlib.sha256(state["value"].encode()).hexdigest()}
        time.sleep(pause)
        write_whole(checkpoint, json.dumps(state))
    rows = "".join(f"{claim.id},{row},{state['value']}\n" for row in range(ROWS))
    write_whole(claim.folder / "curves.csv", f"made by {name}\n")
    write_whole(claim.folder / "runs.csv", "pack,row,value\n" + rows)


def table(ledger):
    """All rows of a ledger."""
    return [line for path in ledger.collect("runs.csv") for line in path.read_text().splitlines()[1:]]


class Trouble:
    """Audit hook by which the n-th operation that writes in a folder kills the process, or finds no space."""

    def __init__(self, folder, *, at, kill):
        self.folder, self.left, self.kill = str(folder), at, kill

    def __call__(self, event, args):
        if event not in ("open", "os.rename", "os.mkdir", "os.utime", "os.remove"):
            return
        if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if self.left <= 0 or self.folder not in str(args[0]):
            return
        self.left -= 1
        if self.left == 0 and self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))


def work(folder, name, log, options):
    """Do packs until none is left."""
    with Path(log).open("a", buffering=1) as file:

        def tell(words):
            file.write(words + "\n")

        tell("start")
        for claim in Ledger.open(folder, stale=options.get("stale", 30.0)).claims(name):
            tell(f"claim {claim.id}")
            try:
                with claim:
                    do(claim, log=tell, pause=options.get("pause", 0.0), name=name)
                tell(f"done {claim.id}")
            except LostClaimError:
                tell(f"lost {claim.id}")


def main(folder, name, log, options):
    """Let a worker die at each of these operations, and after each of these seconds, one process each; then work."""
    deaths = [(point, None) for point in options.get("operations", ())]
    deaths += [(0, seconds) for seconds in options.get("seconds", ())]
    for point, seconds in deaths:
        child = os.fork()
        if not child:
            sys.addaudithook(Trouble(folder, at=point, kill=True))
            work(folder, name, log, options)
            os._exit(0)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        if os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL:
            with Path(log).open("a") as file:
                file.write(f"killed {name}\n")
    work(folder, name, log, options)


if __name__ == "__main__":
    main(*sys.argv[1:4], json.loads(sys.argv[4]))
