"""Work on many images at once in threads: results in order, and a limit on the pixels in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from colorcnn.errors import ColorCNNError
from colorcnn.parallel import in_parallel

K = TypeVar("K")
T = TypeVar("T")

MOST_PIXELS = 48_000_000
"""Maximum number of pixels of all images in work. A larger image is in work alone."""

_AHEAD = 2  # images in work for each thread, so that no thread waits while results are written


def in_order(
    calls: Iterable[tuple[K, int, Callable[[], T]]], workers: int, most_pixels: int = MOST_PIXELS
) -> Iterator[tuple[K, Callable[[], T]]]:
    """Run calls in threads, and yield their results in the order of the calls.

    Decoding, compression and compiled code release the interpreter's lock, so that one image is decoded while
    another one is quantized and a third one is encoded.

    Args:
        calls: a name, the number of pixels, and the work for each image. The iterable is read at most
            ``2 * workers`` images ahead, in the thread of the caller.
        workers: number of threads; 1 runs each call in the thread of the caller.
        most_pixels: maximum number of pixels of all images in work.

    Yields:
        The name, and a function that returns the result of the call or raises its exception.
    """
    if workers <= 1:
        for key, _, work in calls:
            yield key, work
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="quantize")
    queue: deque[tuple[K, int, Future[T]]] = deque()
    held = 0
    try:
        for key, pixels, work in calls:
            while queue and (held + pixels > most_pixels or len(queue) >= _AHEAD * workers):
                first, size, future = queue.popleft()
                yield first, future.result
                held -= size
            queue.append((key, pixels, pool.submit(work)))
            held += pixels
        while queue:
            first, _, future = queue.popleft()
            yield first, future.result
    finally:  # also after Ctrl-C: calls that run end, the others never start
        pool.shutdown(cancel_futures=True)


def in_workers(
    calls: Iterable[tuple[K, int, Callable[[], T]]],
) -> Iterator[tuple[K, Callable[[], T]]]:
    """Run calls by the workers of :func:`colorcnn.parallel.connected`; otherwise as :func:`in_order`.

    Args:
        calls: a name, the number of pixels, and the work for each image. Names and work can be pickled.
    """
    outcomes = in_parallel(_outcome, ((key, work) for key, _, work in calls))
    for key, value, error in outcomes:
        yield key, partial(_value_of, value, error)


def _outcome(key: K, work: Callable[[], T]) -> tuple[K, T | None, Exception | None]:
    try:
        return key, work(), None
    except (ColorCNNError, OSError) as error:
        return key, None, error


def _value_of(value: Any, error: Exception | None) -> Any:
    if error is not None:
        raise error
    return value
