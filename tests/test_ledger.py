"""The ledger of a sweep: whatever dies, freezes or fills up, every pack is done once and no row is lost or torn."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest

import scaletrain.ledger
from ledger_worker import ROWS, STEPS, do, table
from scaletrain.claimants import Claimant, claim_name
from scaletrain.claiming import LostClaimError
from scaletrain.ledger import Ledger

WORKER = Path(__file__).with_name("ledger_worker.py")
SOURCE = Path(scaletrain.__file__).parents[1]
MOST = 60  # packs of a sweep
ELSEWHERE = "running~w~node9~12345678.1~17~99~1700000000000000000"


def packs(count):
    return {f"p{number}": {"seed": number, "width": 16.5} for number in range(count)}


@pytest.fixture
def start():
    """Workers in processes of their own, which log beside the ledger; none survives the test."""
    started = []

    def one(ledger, name, **options):
        log = ledger.folder.with_name(f"{name}.log")
        command = [sys.executable, str(WORKER), str(ledger.folder), name, str(log), json.dumps(options)]
        started.append(subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}))
        return started[-1]

    yield one
    for worker in started:
        worker.kill()
        worker.wait()


def logged(folder, word):
    """Ids that the workers logged under a word."""
    lines = [line.split() for log in folder.glob("*.log") for line in log.read_text().splitlines()]
    return [line[1] for line in lines if line[0] == word and len(line) > 1]


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "nothing came of it in 20 s"
        time.sleep(0.002)


@cache
def undisturbed(count):
    """Rows of a sweep that nobody disturbed; packs that come first do not depend on those after them."""
    if count < MOST:
        return undisturbed(MOST)[: count * ROWS]
    with TemporaryDirectory() as folder:
        ledger = Ledger.create(folder, packs(MOST))
        for claim in ledger.claims("one"):
            with claim:
                do(claim)
        return table(ledger)


def work_folder(ledger, pack="p0"):
    (found,) = [path for path in (ledger.folder / "packs" / pack).iterdir() if path.is_dir()]
    return found


def held_by(ledger, name, pack="p0"):
    """Let a pack have a claim of this name."""
    return work_folder(ledger, pack).rename(ledger.folder / "packs" / pack / name)


# What is on disk.


def test_a_ledger_that_is_opened_again_has_the_same_packs_in_the_same_order(tmp_path):
    made = {"b": {"lr": [0.1, 0.2]}, "a": {"text": 'λ "'}, "10": {}, "9": {"deep": {"x": None}}}
    Ledger.create(tmp_path / "sweep", made)
    assert list(Ledger.open(tmp_path / "sweep").packs.items()) == list(made.items())


def test_creating_again_adds_what_is_new_at_the_end_and_touches_nothing_else(tmp_path):
    ledger = Ledger.create(tmp_path, packs(2))
    with ledger.claim("w") as claim:
        do(claim)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = Ledger.create(tmp_path, {"a": {"seed": 7}, **packs(2), "c": {"seed": 8}})
    assert list(again.packs) == list(ledger.packs) == ["p0", "p1", "a", "c"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.status().counts == {"waiting": 3, "running": 0, "done": 1, "failed": 0}


def test_a_changed_description_is_refused_before_anything_is_written(tmp_path):
    Ledger.create(tmp_path, packs(2))
    with pytest.raises(ValueError, match=r"1 packs are in .* with another description, such as p1. Choose another"):
        Ledger.create(tmp_path, {"new": {}, "p0": packs(1)["p0"], "p1": {"seed": 5}})
    assert list(Ledger.open(tmp_path).packs) == ["p0", "p1"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "at least one id"),
        ([("a", {})], "at least one id"),
        ({"../up": {}}, "the id of a pack has 1 to 100"),
        ({".hidden": {}}, "the id of a pack has 1 to 100"),
        ({"": {}}, "the id of a pack has 1 to 100"),
        ({3: {}}, "not 3"),
        ({"a": 3}, "description of pack a must be a mapping, not 3"),
        ({"ok": {}, "a": {"x": math.nan}}, "pack a is nothing that JSON can hold"),
        ({"a": {"x": Path("y")}}, "pack a is nothing that JSON can hold"),
    ],
)
def test_impossible_packs_are_named_before_anything_is_written(tmp_path, wrong, words):
    with pytest.raises(ValueError, match=words):
        Ledger.create(tmp_path / "sweep", wrong)
    assert not (tmp_path / "sweep").exists()


def test_a_folder_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "garbage").mkdir()
    for name, content in (("absent", None), ("garbage", '{"scaletra'), ("garbage", "[1]"), ("garbage", "")):
        if content is not None:
            (tmp_path / name / "ledger.json").write_text(content)
        with pytest.raises(ValueError, match=f"{name} has no ledger of a sweep: ledger.json is missing or not"):
            Ledger.open(tmp_path / name)
    with pytest.raises(ValueError, match="no ledger"):
        Ledger.create(tmp_path / "garbage", packs(1))
    assert [path.name for path in (tmp_path / "garbage").iterdir()] == ["ledger.json"]


def test_a_ledger_of_another_version_is_refused(tmp_path):
    Ledger.create(tmp_path, packs(1))
    (tmp_path / "ledger.json").write_text('{"scaletrain ledger": 2}')
    for call in (lambda: Ledger.open(tmp_path), lambda: Ledger.create(tmp_path, packs(2))):
        with pytest.raises(ValueError, match=r"version 2, this scaletrain reads 1. Use the scaletrain that made it"):
            call()


def test_a_place_that_cannot_hold_a_ledger_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/sweep cannot hold the ledger"):
        Ledger.create(tmp_path / "file" / "sweep", packs(1))


@pytest.mark.parametrize("stale", [0, -1, math.nan])
def test_a_stale_time_must_be_positive(tmp_path, stale):
    with pytest.raises(ValueError, match="stale must be a positive number of seconds"):
        Ledger(tmp_path, stale=stale)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"place": "x", "pack": {}}', '{"place": 0, "pack": 3}'])
def test_a_pack_that_does_not_say_what_it_is_is_named(tmp_path, content):
    ledger = Ledger.create(tmp_path, packs(2))
    (tmp_path / "packs" / "p1" / "pack.json").write_text(content)
    with pytest.raises(ValueError, match=r"p1/pack.json describes no pack .* Delete .*p1, and create"):
        Ledger.open(ledger.folder).claim("w")


def test_a_pack_whose_work_folder_was_moved_by_hand_is_named(tmp_path):
    ledger = Ledger.create(tmp_path, packs(1))
    work_folder(ledger).rmdir()
    with pytest.raises(ValueError, match=r"p0 must have one of the folders waiting, .* but has none. Make an empty"):
        list(ledger.claims("w"))
    for name in ("waiting", "failed"):
        (tmp_path / "packs" / "p0" / name).mkdir()
    with pytest.raises(ValueError, match=r"but has (waiting, failed|failed, waiting)"):
        ledger.status()


def test_a_table_that_a_done_pack_lacks_is_named(tmp_path):
    ledger = Ledger.create(tmp_path, packs(3))
    for claim in ledger.claims("w"):
        with claim:
            do(claim)
    (tmp_path / "packs" / "p1" / "done" / "runs.csv").unlink()
    assert len(ledger.collect("curves.csv")) == 3
    with pytest.raises(ValueError, match=r"1 packs of .* are done but have no runs.csv, such as p1. Rename its folder"):
        ledger.collect("runs.csv")


# What a worker does with a claim.


def test_a_pack_goes_from_waiting_to_running_to_done(tmp_path):
    ledger = Ledger.create(tmp_path, packs(2))
    before = time.time()
    claim = ledger.claim("laptop")
    assert (claim.id, claim.pack) == ("p0", {"seed": 0, "width": 16.5})
    first, second = ledger.status().packs
    assert (first.id, first.state, first.worker, second.state) == ("p0", "running", "laptop", "waiting")
    assert first.host
    assert before - 1 < first.since < time.time() + 1
    assert before - 1 < first.heard < time.time() + 1
    do(claim)
    assert ledger.collect("runs.csv") == []  # not before it is done
    folder = claim.done()
    assert ledger.collect("runs.csv") == [folder / "runs.csv"]
    assert ledger.status().counts == {"waiting": 1, "running": 0, "done": 1, "failed": 0}


def test_a_pack_that_raises_is_recorded_with_its_words_and_the_others_go_on(tmp_path):
    ledger = Ledger.create(tmp_path, packs(3))
    for claim in ledger.claims("w"):
        with pytest.raises(ValueError, match=r"^the loss") if claim.id == "p1" else nullcontext(), claim:
            do(claim)
            if claim.id == "p1":
                raise ValueError("the loss is λ")
    assert [pack.state for pack in ledger.status().packs] == ["done", "failed", "done"]
    assert ledger.status().packs[1].message == "ValueError: the loss is λ"
    assert ledger.claim("w") is None
    assert ledger.retry() == ["p1"]
    assert [ledger.retry(), ledger.status().packs[1].message] == [[], ""]
    with ledger.claim("w") as claim:
        assert (claim.folder / "checkpoint.json").exists()
        do(claim)
    assert table(ledger) == undisturbed(3)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, OSError])
def test_an_interrupted_pack_goes_on_at_once_from_its_checkpoint(tmp_path, ending):
    ledger = Ledger.create(tmp_path / "sweep", packs(1))
    claim = ledger.claim("first")
    (claim.folder / "checkpoint.json").write_text("42")
    with pytest.raises(ending), claim:
        raise ending
    assert ledger.status().counts["waiting"] == 1
    with pytest.raises(LostClaimError):
        claim.release()
    assert (Ledger.open(ledger.folder).claim("second").folder / "checkpoint.json").read_text() == "42"


def test_a_claim_that_was_settled_in_the_body_is_left_alone(tmp_path):
    ledger = Ledger.create(tmp_path, packs(2))
    with ledger.claim("w") as claim:
        claim.failed("my own words")
    with ledger.claim("w") as claim:
        claim.done()
    assert [pack.message for pack in ledger.status().packs] == ["my own words", ""]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a~b", "x" * 41, "ü"])
def test_a_workers_name_must_fit_into_the_name_of_a_folder(tmp_path, name):
    with pytest.raises(ValueError, match="a worker's name has 1 to 40"):
        Ledger.create(tmp_path, packs(1)).claim(name)


def test_a_ledger_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    ledger = Ledger.create(tmp_path, packs(1))

    def refused(self, target):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match=r"waiting could not be claimed .Read-only file system.. A worker must be able"):
        ledger.claim("w")


def test_a_rename_that_a_file_server_answers_twice_is_a_claim(tmp_path, monkeypatch):
    ledger, rename = Ledger.create(tmp_path, packs(1)), Path.rename

    def twice(self, target):
        rename(self, target)
        rename(self, target)  # not there any more

    monkeypatch.setattr(Path, "rename", twice)
    assert ledger.claim("w").folder.is_dir()


@pytest.mark.parametrize(("settle", "state"), [("done", "done"), ("failed", "failed"), ("release", "waiting")])
def test_a_rename_that_a_file_server_answers_twice_settles_a_claim(tmp_path, monkeypatch, settle, state):
    ledger, rename = Ledger.create(tmp_path, packs(1)), Path.rename
    claim = ledger.claim("w")

    def twice(self, target):
        rename(self, target)
        rename(self, target)

    monkeypatch.setattr(Path, "rename", twice)
    getattr(claim, settle)(*(["no luck"] if settle == "failed" else []))
    assert ledger.status().packs[0].state == state


# Who is dead, and who only silent.


def test_a_dead_process_of_this_machine_is_known_at_once_and_never_guessed():
    mine = claim_name("w").split("~")
    assert not Claimant.of_name("~".join(mine)).is_dead
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    dead = [*mine[:4], str(child.pid), fields[19], mine[6]]
    assert Claimant.of_name("~".join(dead)).is_dead  # nobody has waited for it yet
    child.wait()
    assert Claimant.of_name("~".join(dead)).is_dead
    assert Claimant.of_name("~".join([*mine[:5], "1", mine[6]])).is_dead  # its number was given again
    for place, other in ((3, "12345678.1"), (3, ""), (4, "x"), (6, "y")):  # another machine, or nonsense
        changed = [*dead[:place], other, *dead[place + 1 :]]
        assert not Claimant.of_name("~".join(changed)).is_dead


@pytest.mark.parametrize(
    "name", [ELSEWHERE, "running", "running~", "running~a~b", ELSEWHERE + "~x", ELSEWHERE.replace("~17~", "~~")]
)
@pytest.mark.parametrize("clock", [0, 1, 4e9])
def test_a_claim_of_another_machine_is_taken_over_after_the_stale_time_whatever_its_clock(tmp_path, name, clock):
    ledger = Ledger.create(tmp_path, packs(1), stale=0.1)
    os.utime(held_by(ledger, name), (clock, clock))
    start = time.monotonic()
    assert ledger.claim("w") is None
    assert ledger.status().packs[0].state == "running"
    claims = ledger.claims("w")
    claim = next(claims)
    assert 0.1 < time.monotonic() - start < 5
    assert ledger.status().packs[0].worker == "w"
    assert claim.folder.is_dir()


@pytest.fixture
def clock(monkeypatch):
    """The clock by which workers and observers go, which only the test moves."""
    fake = SimpleNamespace(now=0.0, time_ns=time.time_ns, sleep=time.sleep)
    fake.monotonic = lambda: fake.now
    for room in (scaletrain.ledger, scaletrain.claiming, scaletrain.claimants):
        monkeypatch.setattr(room, "time", fake)
    return fake


def test_a_claim_that_beats_is_never_taken_over(tmp_path, clock):
    ledger, other = Ledger.create(tmp_path, packs(1), stale=60), Ledger.open(tmp_path, stale=60)
    claim = other.claim("slow")
    for _ in range(30):
        clock.now += 10
        time.sleep(0.01)  # times of files have steps of some milliseconds
        claim.beat()
        assert ledger.claim("w") is None
    clock.now += 59
    assert ledger.claim("w") is None
    clock.now += 2  # the process lives, but the claim is silent
    assert ledger.claim("w") is not None
    with pytest.raises(LostClaimError, match=r"pack p0 was taken over .* silent for more than 60 s. Nothing is lost"):
        claim.beat()


def test_beats_are_rare_enough_for_a_file_server_and_frequent_enough_for_an_observer(tmp_path, clock):
    claim = Ledger.create(tmp_path, packs(1), stale=60).claim("w")
    beats = []
    for clock.now in range(1, 61):
        os.utime(claim.folder, (0, 0))
        claim.beat()
        beats += [clock.now] if claim.folder.stat().st_mtime else []
    assert beats == [10, 20, 30, 40, 50, 60]


def test_an_observer_that_was_frozen_takes_nothing_from_the_living(tmp_path, clock):
    """Only what it has seen twice, with the stale time between, counts as silence."""
    ledger, other = Ledger.create(tmp_path, packs(1), stale=60), Ledger.open(tmp_path, stale=60)
    claim = other.claim("slow")
    assert ledger.claim("w") is None
    clock.now += 1000
    time.sleep(0.01)
    claim.beat()
    assert ledger.claim("w") is None
    clock.now += 30
    assert ledger.claim("w") is None


def lost_to_another(tmp_path):
    ledger = Ledger.create(tmp_path, packs(1), stale=0.05)
    claim = ledger.claim("frozen")
    (claim.folder / "checkpoint.json").write_text("{}")
    assert ledger.claim("other") is None
    time.sleep(0.1)
    return claim, ledger.claim("other")


@pytest.mark.parametrize(
    "call",
    [
        lambda claim: claim.beat(), lambda claim: claim.done(), lambda claim: claim.failed("x"),
        lambda claim: claim.release(),
    ],
)  # fmt: skip
def test_whoever_lost_a_claim_finds_out_and_changes_nothing(tmp_path, call):
    claim, other = lost_to_another(tmp_path)
    with pytest.raises(LostClaimError):
        call(claim)
    assert [path.name for path in other.folder.iterdir()] == ["checkpoint.json"]
    assert work_folder(Ledger.open(tmp_path)) == other.folder


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_whatever_follows_from_a_lost_claim_is_called_that(tmp_path, error):
    claim, other = lost_to_another(tmp_path)
    with pytest.raises(LostClaimError), claim:
        raise error("there is no such file")
    assert other.folder.is_dir()


def test_a_lost_claim_hides_no_interruption(tmp_path):
    claim, _ = lost_to_another(tmp_path)
    with pytest.raises(KeyboardInterrupt), claim:
        raise KeyboardInterrupt


def test_a_loser_that_makes_its_folder_anew_still_loses(tmp_path):
    claim, other = lost_to_another(tmp_path)
    (other.folder / "checkpoint.json").unlink()
    claim.folder.mkdir()
    do(other, name="other")
    other.done()
    do(claim, name="frozen")
    with pytest.raises(LostClaimError):
        claim.done()
    ledger = Ledger.open(tmp_path)
    assert ledger.status().counts["done"] == 1
    assert ledger.claim("w") is None
    assert [path.read_text() for path in ledger.collect("curves.csv")] == ["made by other\n"]


# Processes that race, freeze and die.


def test_racing_workers_do_every_pack_exactly_once(start, tmp_path):
    count, ledger = MOST, Ledger.create(tmp_path / "sweep", packs(MOST))
    workers = [start(ledger, f"w{number}") for number in range(4)]
    assert [worker.wait(timeout=60) for worker in workers] == [0] * 4
    for word in ("claim", "done"):
        assert sorted(logged(tmp_path, word)) == sorted(packs(count))
    assert len(logged(tmp_path, "step")) == count * STEPS
    assert ledger.status().counts == {"waiting": 0, "running": 0, "done": count, "failed": 0}
    assert table(ledger) == undisturbed(count)


def test_of_racing_workers_one_takes_over_a_stale_claim(start, tmp_path):
    ledger = Ledger.create(tmp_path / "sweep", packs(20))
    for pack in ledger.packs:
        held_by(ledger, ELSEWHERE, pack)
    workers = [start(ledger, f"w{number}", stale=1.5) for number in range(4)]
    assert [worker.wait(timeout=60) for worker in workers] == [0] * 4
    assert sorted(logged(tmp_path, "claim")) == sorted(ledger.packs)
    assert table(ledger) == undisturbed(20)


def test_creators_that_race_make_one_ledger(tmp_path):
    code = "import sys, json; from scaletrain.ledger import Ledger; Ledger.create(sys.argv[1], json.loads(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(packs(40))]
    creators = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}) for _ in range(3)]
    assert [creator.wait(timeout=60) for creator in creators] == [0] * 3
    assert Ledger.open(tmp_path).packs == packs(40)
    assert sorted(path.name for path in (tmp_path / "packs").iterdir()) == sorted(packs(40))


def check_survived(folder, ledger, count, *, kills):
    """The table is that of an undisturbed sweep, and nothing was done in vain but a step per kill."""
    assert table(ledger) == undisturbed(count)
    assert len(table(ledger)) == count * ROWS
    done = logged(folder, "done")
    assert len(done) == len(set(done))
    assert count * STEPS <= len(logged(folder, "step")) <= count * STEPS + kills
    assert logged(folder, "lost") == []
    assert not [path for path in ledger.folder.rglob("*.partial") if path.parent.name == "done"]


@pytest.mark.parametrize("way", ["operations", "seconds"])
def test_sixty_kills_change_nothing(start, tmp_path, way):
    """Two workers race and die: each before an operation on the disk that is drawn, or out of the blue."""
    rng, ledger = np.random.default_rng(0), Ledger.create(tmp_path / "sweep", packs(MOST))
    draw = {"operations": lambda: rng.integers(1, 25, size=30), "seconds": lambda: rng.uniform(0, 0.04, size=30)}[way]
    pause = {"operations": 0, "seconds": 0.01}[way]
    pair = [start(ledger, f"w{number}", pause=pause, **{way: draw().tolist()}) for number in range(2)]
    assert [worker.wait(timeout=60) for worker in pair] == [0, 0]
    assert len(logged(tmp_path, "killed")) == 60
    check_survived(tmp_path, ledger, MOST, kills=60)


@pytest.mark.parametrize(
    ("wakes", "stale"),
    [
        ("before the other is done", 30),  # it finds out when it writes
        ("after the other is done", 0.3),  # when it beats
    ],
)
def test_a_frozen_worker_that_wakes_up_overwrites_nothing(start, tmp_path, wakes, stale):
    ledger = Ledger.create(tmp_path / "sweep", packs(1), stale=0.3)
    frozen = start(ledger, "frozen", stale=stale, pause=0.2)
    until(lambda: logged(tmp_path, "step"))
    frozen.send_signal(signal.SIGSTOP)
    claim = next(ledger.claims("other"))
    do(claim, name="other")
    if wakes.startswith("after"):
        claim.done()
    frozen.send_signal(signal.SIGCONT)
    until(lambda: logged(tmp_path, "lost") == ["p0"])
    if wakes.startswith("before"):
        claim.done()
    assert frozen.wait(timeout=60) == 0
    assert logged(tmp_path, "done") == []
    assert [path.read_text() for path in ledger.collect("curves.csv")] == ["made by other\n"]
    assert table(ledger) == undisturbed(1)


# A disk that is full.


def test_wherever_space_runs_out_nothing_is_lost(tmp_path):
    """Every operation that writes fails in turn, while a ledger is made and while its packs are done."""
    code = "import sys; import test_ledger; test_ledger.starve(sys.argv[1])"
    path = os.pathsep.join((str(SOURCE), str(WORKER.parent)))
    command = [sys.executable, "-c", code, str(tmp_path)]
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    failures = int(ran.stdout)
    assert failures > 40


def starve(folder):
    """Run by the test above, since an audit hook cannot be taken out again."""
    from ledger_worker import Trouble

    expected, failures = undisturbed(2), 0
    for at in range(1, 1000):
        sweep = Path(folder) / f"starving{at}"
        trouble = Trouble(sweep, at=at, kill=False)
        sys.addaudithook(trouble)
        for _ in range(3):  # two in vain at most: what is tried for cleaning up is a write too
            with_space = trouble.left == 0
            try:
                ledger = None
                ledger = Ledger.create(sweep, packs(2))
                for claim in ledger.claims("w"):
                    with claim:
                        do(claim)
                break
            except OSError:
                assert not with_space
                assert ledger is not None or not (sweep / "ledger.json").exists()  # what says so is whole
                failures += 1
        assert table(ledger) == expected
        assert not list(sweep.rglob("*.partial"))
        if trouble.left:  # all of it ran without
            sys.stdout.write(str(failures))
            return


@contextmanager
def small_disk(folder, monkeypatch):
    """A folder on a disk of 64 KB, and a call that makes it larger; where mounting is forbidden, a count of pages."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode == 0:
        try:
            yield lambda: subprocess.run(["mount", "-o", "remount,size=1m", str(folder)], check=True)
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    pages, write = [64 // 4], Path.write_bytes

    def counted(self, content):
        used = sum(-(-path.stat().st_size // 4096) for path in folder.rglob("*") if path.is_file())
        if used >= pages[0]:
            write(self, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", counted)
    yield lambda: pages.append(pages.pop() + 1000)


@pytest.mark.parametrize("forbidden", [False, True])
def test_a_sweep_on_a_full_disk_stops_with_a_reason_and_goes_on_once_there_is_room(tmp_path, monkeypatch, forbidden):
    if forbidden:  # as where this test is not run by root
        real = subprocess.run
        monkeypatch.setattr(subprocess, "run", lambda command, **more: real(["false"], **more))
    disk = tmp_path / "disk"
    disk.mkdir()
    expected = undisturbed(8)
    with small_disk(disk, monkeypatch) as grow:
        ledger = Ledger.create(disk / "sweep", packs(8))

        def work():
            for claim in ledger.claims("w"):
                with claim:
                    do(claim)

        for _ in range(2):
            with pytest.raises(OSError, match=r"could not be written .No space left on device."):
                work()
            some = table(ledger)
            assert 0 < len(some) < 8 * ROWS
            assert some == expected[: len(some)]
            assert ledger.status().counts["waiting"] + len(some) // ROWS == 8
        with pytest.raises(OSError, match=r"cannot hold the ledger .No space left on device.*Make room"):
            Ledger.create(disk / "sweep", packs(20))
        assert set(Ledger.open(disk / "sweep").packs) <= set(packs(20))
        grow()
        work()
        assert table(ledger)[: len(expected)] == expected
