"""Parallel calls: in threads, in processes, on a Dask or Ray cluster, or on several devices in turns."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from colorcnn.errors import ColorCNNError, UsageError, quoted, shortened
from colorcnn.version import __version__

CONNECT_SECONDS = 15.0
"""Maximum time to reach a scheduler."""

WORKER_SECONDS = 60.0
"""Maximum time to wait for the first worker of a cluster."""

FORMS = "a number of processes, dask://HOST:PORT or ray"

_MOST_PROCESSES = 1024
_CLUSTERS = ("distributed.", "dask.", "ray.", "joblib.externals.loky.")


@dataclass(frozen=True)
class Workers:
    """Workers that a user chose.

    Attributes:
        kind: ``processes`` of this machine, ``dask`` or ``ray``.
        count: number of processes; 0 for a cluster, which decides it.
        address: HOST:PORT of Dask's scheduler, else empty.
    """

    kind: Literal["processes", "dask", "ray"]
    count: int = 0
    address: str = ""


def parse_workers(text: str) -> Workers:
    """Read the choice of workers. Nothing is imported or connected.

    Args:
        text: :data:`FORMS`.

    Raises:
        UsageError: the text is none of these.
    """
    if text == "ray":
        return Workers("ray")
    if re.fullmatch("[0-9]{1,4}", text, re.ASCII) and 1 <= int(text) <= _MOST_PROCESSES:
        return Workers("processes", count=int(text))
    found = re.fullmatch(r"dask://((?:[\w.-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5})", text, re.ASCII)
    if found:
        return Workers("dask", address=found[1])
    raise UsageError(
        f"The workers are {quoted(text)}", f"choose {FORMS}", code="unknown-workers", workers=text
    )


@contextmanager
def connected(workers: Workers | None) -> Iterator[None]:
    """Context in which :func:`in_parallel` uses these workers; without any, it is unchanged.

    Args:
        workers: the workers; None for those of this process.

    Raises:
        UsageError: the library of the cluster is not installed.
        ColorCNNError: the scheduler or its workers cannot be reached in time, have another version of
            colorcnn, or fail during the work.
    """
    if workers is None:
        yield
        return
    open_workers = {"processes": _processes, "dask": _dask, "ray": _ray}[workers.kind]
    with ExitStack() as stack:
        try:
            stack.enter_context(open_workers(workers))
            yield
        except Exception as error:
            if not type(error).__module__.startswith(_CLUSTERS):
                raise
            raise ColorCNNError(
                f"The workers of {workers.address or workers.kind} failed "
                f"({shortened(f'{type(error).__name__}: {error}', 200)})",
                "read their logs, then run the same command again",
                code="workers-failed",
                workers=workers,
            ) from error


@contextmanager
def _processes(workers: Workers) -> Iterator[None]:
    import joblib

    with joblib.parallel_config("loky", n_jobs=workers.count):
        yield


@contextmanager
def _dask(workers: Workers) -> Iterator[None]:
    _require("distributed", "dask[distributed]")
    import joblib
    from distributed import Client

    try:
        client = Client(f"tcp://{workers.address}", timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise _unreachable("Dask scheduler", workers.address, CONNECT_SECONDS) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError as error:
            raise ColorCNNError(
                f"The Dask scheduler {workers.address} had no worker in {WORKER_SECONDS:g} seconds",
                "start workers with dask worker",
                code="no-workers",
                address=workers.address,
            ) from error
        _check_versions(client.run(_version))
        with joblib.parallel_config("dask", client=client):
            yield


@contextmanager
def _ray(_: Workers) -> Iterator[None]:
    _require("ray", "ray")
    import joblib
    import ray
    from ray.util.joblib import register_ray

    address = os.environ.get("RAY_ADDRESS", "")
    if re.fullmatch(r"[^/]+:[0-9]{1,5}", address):  # Ray itself waits for minutes, and then ends the process
        host, port = address.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _unreachable("Ray cluster", address, CONNECT_SECONDS) from error
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as error:
            raise _unreachable("Ray cluster", address or "of this machine", CONNECT_SECONDS) from error
    try:
        _check_versions({"a worker": ray.get(ray.remote(_version).remote())})
        register_ray()
        with joblib.parallel_config("ray", n_jobs=max(1, int(ray.cluster_resources().get("CPU", 1)))):
            yield
    finally:
        if ours:
            ray.shutdown()


def _require(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(
            f"{package} is not installed",
            f"install it here and on the workers with pip install '{package}'",
            code="missing-package",
            package=package,
        )


def _unreachable(what: str, address: str, seconds: float) -> ColorCNNError:
    return ColorCNNError(
        f"The {what} {address} did not answer in {seconds:g} seconds",
        "check that it runs, and that this machine can reach its port",
        code="unreachable",
        address=address,
    )


def _version() -> str:
    """Return the version of the worker that calls this."""
    return __version__


def _check_versions(found: dict[str, str]) -> None:
    for worker, version in found.items():
        if version != __version__:
            raise ColorCNNError(
                f"{worker} has colorcnn {version}, and this process {__version__}",
                "install the same version on all workers",
                code="other-version",
                worker=worker,
            )


def in_parallel(
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    *,
    jobs: int | None = None,
    ordered: bool = True,
) -> Iterator[Any]:
    """Call a function many times, and yield the results.

    Calls run in the workers of :func:`connected` or of ``joblib.parallel_config``, else in threads. A few
    calls and results are in memory at a time, and a cluster gets the function only once.

    Args:
        function: the function; for other processes it can be pickled.
        calls: the arguments of each call, taken when a worker is about to be free.
        jobs: number of threads; None for one, or for all workers of a cluster; -1 for one per core.
        ordered: False to yield each result as soon as it is there.
    """
    import joblib

    backend = joblib.parallel.get_active_backend()[0]
    family = type(backend).__module__.partition(".")[0]
    if family == "ray":
        yield from _in_slices(function, calls, jobs)
        return
    config: dict[str, Any] = {}
    if type(backend).__name__ == "DaskDistributedBackend":
        # joblib would send the function, which may hold a list of all images, with every call.
        config = {"backend": "dask", "client": backend.client, "scatter": [function]}
    mode = "generator" if ordered else "generator_unordered"
    with joblib.parallel_config(**config):
        parallel = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as=mode)
    yield from parallel(joblib.delayed(_call)(function, *arguments) for arguments in calls)


class Turns:
    """Functions that take calls in turns, each in a thread of its own, for example one per GPU.

    A single function is called at once, in the caller's thread.

    Args:
        functions: at least one. Call k since the last :meth:`wait` goes to function k modulo their number.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self.functions = list(functions)
        self._pools = [ThreadPoolExecutor(1) for _ in functions] if len(functions) > 1 else []
        self._pending: deque[Future[Any]] = deque()
        self._turn = 0

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    def call(self, *arguments: Any) -> None:
        """Call the next function, or queue the call; wait if each function has two calls to do.

        Args:
            arguments: arguments of the call.

        Raises:
            Exception: this call or an earlier one failed.
        """
        turn, self._turn = self._turn, (self._turn + 1) % len(self.functions)
        if not self._pools:
            self.functions[turn](*arguments)
            return
        self._pending.append(self._pools[turn].submit(self.functions[turn], *arguments))
        while len(self._pending) > 2 * len(self.functions):
            self._pending.popleft().result()

    def wait(self) -> None:
        """Wait until all calls are done. The next call goes to the first function."""
        while self._pending:
            self._pending.popleft().result()
        self._turn = 0


def _in_slices(
    function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], jobs: int | None
) -> Iterator[Any]:
    """Run calls on Ray, whose backend returns results only all at once, so it gets a few calls at a time."""
    import joblib
    import ray

    stored, waiting = _Stored(ray.put(function)), iter(calls)
    with joblib.Parallel(n_jobs=jobs, batch_size=1) as parallel:
        while some := list(islice(waiting, 4 * joblib.effective_n_jobs(jobs))):
            yield from parallel(joblib.delayed(_call)(stored, *arguments) for arguments in some)


class _Stored:
    """A function in the object store of a Ray cluster."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference

    def __call__(self, *arguments: Any) -> Any:
        import ray

        return ray.get(self.reference)(*arguments)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)
