"""Reading ahead and writing afterwards: the order, the bound, and what becomes of errors."""

import threading
from collections.abc import Iterator

import pytest

from core.errors import UserError
from core.prediction.beside import Afterwards, ahead


def numbers(count: int, taken: list[int]) -> Iterator[int]:
    for number in range(count):
        taken.append(number)
        yield number


def test_all_items_in_their_order_made_in_another_thread():
    made_in: set[str] = set()

    def items() -> Iterator[int]:
        for number in range(20):
            made_in.add(threading.current_thread().name)
            yield number

    assert list(ahead(items())) == list(range(20))
    assert made_in and threading.current_thread().name not in made_in


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_few_items(length):
    assert list(ahead(range(length), 2)) == list(range(length))


def test_no_more_is_made_than_asked_for():
    taken: list[int] = []
    items = ahead(numbers(100, taken), 3)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    items.close()
    assert len(taken) <= 4 + 3


def test_an_error_in_making_comes_when_it_is_due():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise UserError("third.jpg: damaged")

    found = []
    with pytest.raises(UserError, match=r"third\.jpg"):
        for item in ahead(items(), 5):
            found.append(item)
    assert found == [1, 2]


def test_calls_in_their_order_all_done_at_the_end():
    done: list[int] = []
    with Afterwards(2) as later:
        for number in range(50):
            later.call(done.append, number)
    assert done == list(range(50))


def test_few_calls_wait():
    gate, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        gate.wait(5)

    asked: list[int] = []

    def ask(later: Afterwards) -> None:
        for number in range(4):
            later.call(wait)
            asked.append(number)

    with Afterwards(2) as later:
        asking = threading.Thread(target=ask, args=(later,))
        asking.start()
        begun.wait(5)
        asking.join(0.05)
        assert len(asked) <= 2  # the third waits
        gate.set()
        asking.join(5)
    assert asked == [0, 1, 2, 3]


def test_the_first_error_surfaces_and_nothing_is_called_after_it():
    done: list[int] = []

    def fail() -> None:
        raise UserError("disk full")

    with pytest.raises(UserError, match="disk full"), Afterwards(2) as later:
        later.call(done.append, 1)
        later.call(fail)
        for number in range(100):
            later.call(done.append, number)
    assert done == [1]


def test_an_error_of_the_last_call_surfaces_at_the_end():
    def fail() -> None:
        raise UserError("disk full")

    with pytest.raises(UserError, match="disk full"), Afterwards() as later:
        later.call(fail)


def test_what_was_asked_for_is_done_also_where_the_block_fails():
    done: list[int] = []
    with pytest.raises(ValueError, match="network"), Afterwards(8) as later:
        for number in range(5):
            later.call(done.append, number)
        raise ValueError("network")
    assert done == [0, 1, 2, 3, 4]
