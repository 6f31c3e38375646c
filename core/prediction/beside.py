"""Reading before and writing after the network while it computes: a thread each, in the order of the images."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
AHEAD = 2  # batches that are read before they are needed; also images that wait for being written
END: Any = object()


def ahead(items: Iterable[Item], count: int = AHEAD) -> Generator[Item, None, None]:
    """The items in their order, up to `count` made in a thread while the caller works on another.

    An error in making one is raised when it is due, after all before it; nothing is made after it. Closing the iterator
    ends the thread.
    """
    iterator, pending = iter(items), deque[Future[Item]]()
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        pending.extend(pool.submit(next, iterator, END) for _ in range(count))
        while (item := pending.popleft().result()) is not END:
            pending.append(pool.submit(next, iterator, END))
            yield item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Afterwards:
    """`with Afterwards() as later: later.call(function, …)`: calls in a thread, one after another, in their order.

    A call waits while `count` others do, so memory is bounded. The first error is raised by the next call, or at the
    end; no function is called after it. However the block ends, what was asked for is done before.
    """

    def __init__(self, count: int = AHEAD) -> None:
        self._count, self._pending = count, deque[Future[None]]()
        self._failed = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="afterwards")

    def __enter__(self) -> "Afterwards":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        if kind is None:
            self._take(0)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Calls a function as soon as those before have returned; what it returns is lost.

        Raises:
            Exception: what an earlier function raised.
        """
        self._take(self._count - 1)
        self._pending.append(self._pool.submit(self._call, function, arguments, named))

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._failed:
            return
        try:
            function(*arguments, **named)
        except BaseException:
            self._failed = True
            raise

    def _take(self, left: int) -> None:
        """Waits until so many functions are left to be called; raises what one before has raised."""
        while len(self._pending) > left or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()
