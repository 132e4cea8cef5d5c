"""Locks between processes, also of several machines that share a file system.

A lock is a file. Creating it fails if it exists, also on NFS, so only one process gets it. Locks of the
system (``fcntl``, ``flock``) are not used: on NFS 3 they need a service that is often missing, on some mounts
they hold only within one machine, and after a crash they can stay until a server restarts. The file names the
machine and the process that hold it, and a thread renews its time (a heartbeat). A lock is stale, and the
next process takes it over, if

- its process has ended (only processes on the same machine can see this);
- or it was not renewed for :data:`STALE_SECONDS`, for example because another machine crashed. The age is
  measured with the file system's own clock, so the clocks of the machines may differ.

If a process was suspended for longer, another one may have taken over its lock. Both then do the same work.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from colorcnn.errors import ColorCNNError

STALE_SECONDS = 15 * 60.0
"""Age in seconds from which a lock of another machine is stale. NFS may show a time that is a minute old."""

BEAT_SECONDS = 30.0
"""Seconds between two renewals."""


class ClaimedError(ColorCNNError):
    """Another process works on the stage."""

    code = "claimed"


@contextmanager
def claimed(lock: Path) -> Iterator[None]:
    """Hold a lock against other processes, and renew it until the block ends.

    Raises:
        ClaimedError: another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = _this_process()
    if not _create(lock, holder) and not _take_over(lock, holder):
        raise ClaimedError(f"{lock} is held by another process", "wait, or use another folder of runs")
    ended = threading.Event()
    beat = threading.Thread(target=_renew, args=(lock, holder, ended), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        if _holder(lock) == holder:
            lock.unlink(missing_ok=True)


def _this_process() -> str:
    return json.dumps({"machine": _machine(), "process": os.getpid()})


def _machine() -> str:
    """Return a name of this machine. Containers that do not share their processes have different names."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _create(lock: Path, holder: str) -> bool:
    """Return True if the lock was created, False if it exists."""
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(holder)
    except BaseException:  # a full disk, or Ctrl-C: a lock that names no process would stay
        lock.unlink(missing_ok=True)
        raise
    return True


def _take_over(lock: Path, holder: str) -> bool:
    """Replace a stale lock. Return True if it was replaced.

    A second lock guards this. Without it, two processes could both see a stale lock, and one could remove the
    lock that the other has just made.
    """
    if not _is_stale(lock):
        return False
    guard = lock.with_name(f"{lock.name}.guard")
    if not _create(guard, holder):
        if _is_stale(guard):
            guard.unlink(missing_ok=True)  # its process died in the lines below; a later attempt succeeds
        return False
    try:
        if not _is_stale(lock):  # another process was faster
            return False
        lock.unlink(missing_ok=True)
        return _create(lock, holder)
    finally:
        guard.unlink(missing_ok=True)


def _is_stale(lock: Path) -> bool:
    holder = _holder(lock)
    if holder is None:
        return True
    with contextlib.suppress(ValueError, TypeError, KeyError):
        found = json.loads(holder)
        if found["machine"] == _machine() and not _is_running(found["process"]):
            return True
    return _age(lock) > STALE_SECONDS


def _holder(lock: Path) -> str | None:
    """Return the content of a lock, or None if it does not exist (any more)."""
    try:
        return lock.read_text()
    except OSError:
        return None


def _age(lock: Path) -> float:
    """Return the seconds since a lock was renewed, by the clock of its file system."""
    try:
        with tempfile.NamedTemporaryFile(dir=lock.parent, prefix=".now-") as now:
            return os.stat(now.name).st_mtime - lock.stat().st_mtime
    except OSError:
        return 0.0


def _is_running(process: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process there, so only the age counts
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process runs and belongs to another user
        return True
    return True


def _renew(lock: Path, holder: str, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            if _holder(lock) == holder:
                os.utime(lock)
