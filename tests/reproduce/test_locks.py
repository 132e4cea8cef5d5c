"""Locks between processes and machines: held, given back, and taken over when they are stale."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from colorcnn.reproduce import locks
from colorcnn.reproduce.locks import ClaimedError, claimed

HOLD = """
import sys
from pathlib import Path
from colorcnn.reproduce import locks
from colorcnn.reproduce.locks import claimed
locks.BEAT_SECONDS = float(sys.argv[2])
if len(sys.argv) > 3:
    locks._machine = lambda: sys.argv[3]
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "locks" / "key"


@contextmanager
def held(lock, *, beat=30.0, machine=()):
    """Another process that holds the lock until a line is written to it."""
    command = [sys.executable, "-c", HOLD, str(lock), str(beat), *machine]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def holder(lock):
    """A process of this machine that holds the lock."""
    with held(lock) as process:
        yield process


def age(lock, seconds):
    """Let a lock look as if it was renewed so long ago."""
    then = lock.stat().st_mtime - seconds
    os.utime(lock, (then, then))


def test_a_lock_is_held_against_another_process_until_that_gives_it_back(lock, holder):
    with pytest.raises(ClaimedError, match="another process"), claimed(lock):
        pass
    holder.communicate("go on\n")
    with claimed(lock):
        pass
    assert not list(lock.parent.iterdir())


def test_the_lock_of_a_process_that_was_killed_is_taken_over_at_once(lock, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lock.exists()
    with claimed(lock):
        pass


def foreign(lock):
    lock.parent.mkdir()
    lock.write_text(json.dumps({"machine": "another", "process": os.getpid()}))


def test_a_lock_of_another_machine_holds_while_it_is_renewed(lock):
    foreign(lock)
    age(lock, locks.STALE_SECONDS / 2)
    with pytest.raises(ClaimedError), claimed(lock):
        pass
    assert "another" in lock.read_text()


def test_a_lock_of_another_machine_that_is_not_renewed_is_taken_over(lock):
    foreign(lock)
    age(lock, locks.STALE_SECONDS + 10)
    with claimed(lock):
        assert json.loads(lock.read_text())["machine"] != "another"


def test_a_machine_that_crashed_loses_its_lock_when_it_is_stale(lock):
    """Two processes as two machines of one file system: this one cannot see that the other has died."""
    with held(lock, machine=["node-b"]) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert json.loads(lock.read_text()) == {"machine": "node-b", "process": process.pid}
        with pytest.raises(ClaimedError), claimed(lock):
            pass
        age(lock, locks.STALE_SECONDS + 10)
        with claimed(lock):
            assert json.loads(lock.read_text())["process"] == os.getpid()
    assert not list(lock.parent.iterdir())


def test_a_machine_that_works_keeps_its_lock(lock):
    """Its heartbeat makes even a lock fresh that looks stale."""
    with held(lock, beat=0.02, machine=["node-b"]) as process:
        age(lock, locks.STALE_SECONDS + 10)
        then = lock.stat().st_mtime
        for _ in range(3000):
            if lock.stat().st_mtime > then:
                break
            threading.Event().wait(0.01)
        with pytest.raises(ClaimedError), claimed(lock):
            pass
        process.communicate("go on\n")
        with claimed(lock):
            pass


def test_a_lock_that_was_just_created_and_is_not_written_yet_holds(lock):
    lock.parent.mkdir()
    lock.touch()
    with pytest.raises(ClaimedError), claimed(lock):
        pass


def test_of_many_that_find_a_stale_lock_one_gets_it(lock, monkeypatch):
    """All see the stale lock before any may take it over."""
    foreign(lock)
    age(lock, locks.STALE_SECONDS + 10)
    together, hold, is_stale = threading.Barrier(4), threading.Event(), locks._is_stale
    results: list[str] = []

    def seen(path):
        found = is_stale(path)
        if path == lock and not getattr(threading.current_thread(), "seen", False):
            threading.current_thread().seen = True
            together.wait(30)
        return found

    def work():
        try:
            with claimed(lock):
                results.append("held")
                hold.wait(30)
        except ClaimedError:
            results.append("refused")
        if len(results) == 4:
            hold.set()

    monkeypatch.setattr(locks, "_is_stale", seen)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads[:]:
        thread.join(0.0)
    while len(results) < 4 and any(thread.is_alive() for thread in threads):
        threading.Event().wait(0.01)
    hold.set()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["held", "refused", "refused", "refused"]


def test_a_lock_is_renewed_while_it_is_held(lock, monkeypatch):
    renewed = threading.Event()
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.001)
    monkeypatch.setattr(locks.os, "utime", lambda path: renewed.set())
    with claimed(lock):
        assert renewed.wait(30)


def test_a_lock_that_was_taken_over_meanwhile_is_left_to_its_new_holder(lock):
    with claimed(lock):
        lock.write_text(json.dumps({"machine": "another", "process": 1}))
    assert lock.exists()


def test_a_lock_that_could_not_be_written_holds_nobody(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("colorcnn.reproduce.locks.os.fdopen", fail)
        with pytest.raises(OSError, match="No space"):
            claimed(tmp_path / "lock").__enter__()
    with claimed(tmp_path / "lock"):
        pass
    assert not list(tmp_path.iterdir())
