"""The loader: order, equality for any number of threads, errors, and no thread left behind."""

import threading
import time

import numpy as np
import pytest

from core.datasets.loader import batches, number_of_batches, shuffled
from core.datasets.sample import collate
from core.errors import UserError
from core.options.needs import Order


class Numbers:
    """Samples that say which (epoch, index) they are, some of them slow or broken."""

    def __init__(self, length, broken=None, error=UserError, delay=lambda index: 0):
        self.length, self.broken, self.error, self.delay = length, broken, error, delay
        self.loaded = []

    def __len__(self):
        return self.length

    def __getitem__(self, key):
        self.loaded.append(key)
        if key[1] == self.broken:
            raise self.error(f"item {key[1]} is broken")
        time.sleep(self.delay(key[1]))
        return {"key": np.array(key), "index": np.array(key[1], np.int64)}

    def describe(self, index):
        return f"number {index}"


def out_of_order(index):
    return 0.002 * (index % 3)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def load(dataset, **changes):
    settings = {
        "epoch": 0,
        "batch_size": 4,
        "shuffle": True,
        "seed": 0,
        "num_workers": 0,
        "drop_last": True,
    }
    return batches(dataset, **(settings | changes))


def test_collate():
    batch = collate([{"a": np.full((2, 3), n, np.uint8), "index": np.int64(n)} for n in range(4)])
    assert batch["a"].shape == (4, 2, 3) and batch["a"].dtype == np.uint8
    assert batch["index"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("length", "drop_last", "expected"),
    [(8, True, 2), (11, True, 2), (11, False, 3), (3, True, 0), (3, False, 1)],
)
def test_number_of_batches(length, drop_last, expected):
    assert number_of_batches(length, 4, drop_last) == expected
    if expected:
        sizes = [len(batch["index"]) for batch in load(Numbers(length), drop_last=drop_last)]
        assert len(sizes) == expected and all(size == 4 for size in sizes[:-1])


def test_order():
    drawn = shuffled(100, epoch=1, shuffle=True, seed=5)
    assert sorted(drawn) == list(range(100)) != drawn
    assert drawn == shuffled(100, epoch=1, shuffle=True, seed=5)
    assert drawn != shuffled(100, epoch=2, shuffle=True, seed=5)
    assert drawn != shuffled(100, epoch=1, shuffle=True, seed=6)
    assert shuffled(5, epoch=1, shuffle=False, seed=5) == [0, 1, 2, 3, 4]


def test_draws_with_replacement():
    """Any number of batches, each sample from all of them; the same for the same seed and epoch, whoever loads."""
    order = Order(replacement=True, steps=30)

    def keys(**changes):
        settings = {"order": order, "count": 30} | changes
        return [index for batch in load(Numbers(10), **settings) for index in batch["index"].tolist()]

    drawn = keys()
    assert len(drawn) == 120 and set(drawn) == set(range(10))
    assert drawn == keys(num_workers=3) != keys(epoch=1)
    assert drawn != keys(seed=1)
    assert keys(first=2) == drawn[8:]
    # Two processes take turns, batch by batch, in one draw of twice the length.
    shares = [keys(share=(rank, 2)) for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1]) == 120 and shares[0] != shares[1]


def test_a_count_of_batches():
    whole = [batch["index"].tolist() for batch in load(Numbers(30))]
    assert [batch["index"].tolist() for batch in load(Numbers(30), count=3)] == whole[:3]
    with pytest.raises(UserError, match="30 samples do not fill 8 batches of 4"):
        load(Numbers(30), count=8)


@pytest.mark.parametrize("num_workers", [1, 3, 20])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_same_sequence_whatever_the_number_of_workers(num_workers, drop_last, batch_size):
    settings = {"epoch": 3, "batch_size": batch_size, "drop_last": drop_last}
    expected = [batch["key"] for batch in load(Numbers(30), **settings)]
    threaded = [
        batch["key"] for batch in load(Numbers(30, delay=out_of_order), num_workers=num_workers, **settings)
    ]
    np.testing.assert_equal(threaded, expected)
    assert not loader_threads()


@pytest.mark.parametrize("num_workers", [0, 3])
def test_each_sample_is_loaded_once(num_workers):
    dataset = Numbers(22)
    seen = [index for batch in load(dataset, num_workers=num_workers) for index in batch["index"]]
    assert len(set(seen)) == len(seen) == 20
    assert sorted(dataset.loaded) == sorted((0, index) for index in seen)


def test_batches_are_loaded_ahead_but_not_all_of_them():
    dataset = Numbers(100)
    iterator = load(dataset, num_workers=2)
    next(iterator)
    deadline = time.time() + 5
    while len(dataset.loaded) < 12 and time.time() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(dataset.loaded) == 12  # the one given out and two more
    iterator.close()


@pytest.mark.parametrize("num_workers", [0, 1, 4])
def test_errors_surface_and_leave_no_thread(num_workers):
    iterator = load(Numbers(40, broken=9), shuffle=False, num_workers=num_workers)
    for _ in range(2):
        next(iterator)
    with pytest.raises(UserError, match="item 9 is broken"):
        next(iterator)
    assert not loader_threads()


def test_an_error_does_not_wait_for_the_samples_before_it():
    dataset = Numbers(40, broken=3, delay=lambda index: 0.5 if index == 2 else 0.01)
    with pytest.raises(UserError):
        next(load(dataset, batch_size=40, shuffle=False, num_workers=2))
    assert len(dataset.loaded) < 15  # while number 2 was loaded, there was time for all


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unexpected_error_says_where(num_workers):
    with pytest.raises(ZeroDivisionError) as caught:
        list(load(Numbers(8, broken=5, error=ZeroDivisionError), num_workers=num_workers))
    assert caught.value.__notes__ == ["while loading number 5"]


@pytest.mark.parametrize("end", ["close", "drop"])
def test_an_abandoned_epoch_leaves_no_thread(end):
    iterator = load(Numbers(400, delay=out_of_order), num_workers=4)
    next(iterator)
    assert loader_threads()
    if end == "close":
        iterator.close()
    del iterator
    assert not loader_threads()


def test_too_few_samples():
    with pytest.raises(UserError, match="3 samples do not fill one batch of 4; lower --batch_size"):
        load(Numbers(3))
    with pytest.raises(UserError):
        load(Numbers(0), drop_last=False)


def test_an_epoch_can_begin_at_any_batch():
    expected = [batch["index"].tolist() for batch in load(Numbers(30))]
    for num_workers in (0, 2):
        rest = load(Numbers(30), first=3, num_workers=num_workers)
        assert [batch["index"].tolist() for batch in rest] == expected[3:]


def test_processes_take_turns():
    """Equally often: the last of seven batches is left out for two processes."""
    expected = [batch["index"].tolist() for batch in load(Numbers(30))]
    for rank in (0, 1):
        share = [batch["index"].tolist() for batch in load(Numbers(30), share=(rank, 2))]
        assert share == expected[rank:6:2]
        assert [batch["index"].tolist() for batch in load(Numbers(30), share=(rank, 2), first=1)] == share[1:]
    with pytest.raises(UserError, match="7 samples do not fill 2 batches of 4; lower --batch_size"):
        load(Numbers(7), share=(0, 2))
