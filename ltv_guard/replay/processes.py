"""Many replays side by side: work that is spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

PARTS = 64  # of the work, for each process: what is done is told as often
Item = TypeVar("Item")
Found = TypeVar("Found")
_work: list[Callable[[Any], Any]] = []  # of this process, if it is one of several


def spread(work: Callable[[Item], Found], items: Sequence[Item], cores: int) -> Iterator[Found]:
    """What the work makes of each item, in the order of the items, on so many processes at once.

    With more cores than one, work, items and results are pickled; each process gets the work once, and raises
    here what it raised there.
    """
    if cores <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(cores, get_context("spawn"), initializer=_take, initargs=(work,))
    try:
        yield from pool.map(_do, items, chunksize=max(1, len(items) // (cores * PARTS)))
    finally:
        pool.shutdown(cancel_futures=True)


def _take(work: Callable[[Any], Any]) -> None:
    _work[:] = [work]


def _do(item: Any) -> Any:  # noqa: ANN401 - whatever the work takes and makes
    return _work[0](item)
