"""Batches of a data set, loaded ahead by threads: decoding and resizing release Python's lock.

Threads rather than processes: they start at once, share the cache of images, and import no framework.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Protocol

import numpy as np

from core.datasets.sample import Sample, collate
from core.errors import UserError
from core.options.needs import Order

ORDER_STREAM = 0  # keeps the draw of the order apart from those of the samples (core/datasets/samples.py)
BATCHES_AHEAD = 2  # loaded while the caller works on one


class Dataset(Protocol):
    """What the loader needs to know of a data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: tuple[int, int]) -> Sample: ...

    def describe(self, index: int) -> str: ...


def number_of_batches(length: int, batch_size: int, drop_last: bool) -> int:
    """Batches in an epoch of `length` samples; an incomplete last one counts unless dropped."""
    return length // batch_size if drop_last else -(-length // batch_size)


def shuffled(length: int, epoch: int, shuffle: bool, seed: int) -> list[int]:
    """The order of the samples in an epoch: a function of its arguments only."""
    if not shuffle:
        return list(range(length))
    return np.random.default_rng([ORDER_STREAM, seed, epoch]).permutation(length).tolist()


def draws(length: int, count: int, epoch: int, seed: int) -> list[int]:
    """So many samples for an epoch, each drawn from all of them: a function of its arguments only."""
    return np.random.default_rng([ORDER_STREAM, seed, epoch]).integers(length, size=count).tolist()


def batches(
    dataset: Dataset,
    epoch: int,
    batch_size: int,
    shuffle: bool,
    seed: int,
    num_workers: int,
    drop_last: bool,
    share: tuple[int, int] = (0, 1),
    first: int = 0,
    order: Order | None = None,
    count: int | None = None,
) -> Iterator[Sample]:
    """One epoch of batches, the same sequence whatever the number of workers.

    Args:
        epoch: counted from 0; chooses the order and, through the data set, the augmentation.
        num_workers: threads that load ahead; 0 loads in the caller's thread.
        drop_last: leave out an incomplete last batch.
        share: this process and the number of processes, which take turns batch by batch, all equally often.
        first: number of the batch, of this process's, to begin with.
        order: how a shuffled epoch goes through the samples; None: each once.
        count: batches of the epoch for each process; None: as many as the samples fill.

    Returns:
        Dicts of stacked arrays. An error of a worker is raised when its batch is due; closing the iterator
        (or dropping it) ends all threads.

    Raises:
        UserError: not enough samples for one batch.
    """
    rank, processes = share
    filled = number_of_batches(len(dataset), batch_size, drop_last) // processes
    if filled == 0:
        one = "one batch" if processes == 1 else f"{processes} batches"
        raise UserError(f"{len(dataset)} samples do not fill {one} of {batch_size}; lower --batch_size")
    replacement = order is not None and order.replacement
    count = filled if count is None else count
    if count > filled and not replacement:
        raise UserError(f"{len(dataset)} samples do not fill {count * processes} batches of {batch_size}")
    if replacement:
        indices = draws(len(dataset), count * processes * batch_size, epoch, seed)
    else:
        indices = shuffled(len(dataset), epoch, shuffle, seed)
    chunks = [indices[n * batch_size : (n + 1) * batch_size] for n in range(count * processes)]
    chunks = chunks[rank::processes][first:]
    if num_workers == 0:
        return (collate([_load(dataset, epoch, index) for index in chunk]) for chunk in chunks)
    return _prefetch(dataset, epoch, chunks, num_workers)


def _prefetch(dataset: Dataset, epoch: int, chunks: list[list[int]], num_workers: int) -> Iterator[Sample]:
    pending: deque[list[Future[Sample]]] = deque()
    upcoming = iter(chunks)
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="loader")

    def submit() -> None:
        if (chunk := next(upcoming, None)) is not None:
            pending.append([pool.submit(_load, dataset, epoch, index) for index in chunk])

    try:
        # At least one sample for each thread, so that all of them work even when batches are small.
        for _ in range(max(BATCHES_AHEAD, -(-num_workers // len(chunks[0])))):
            submit()
        while pending:
            samples = _results(pending.popleft())
            submit()  # before the caller gets busy
            yield collate(samples)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _results(futures: list[Future[Sample]]) -> list[Sample]:
    """The results in order; the error of one at once, without waiting for those still at work."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in (future for future in futures if future in done):
        future.result()
    return [future.result() for future in futures]


def _load(dataset: Dataset, epoch: int, index: int) -> Sample:
    try:
        return dataset[epoch, index]
    except UserError:
        raise
    except Exception as error:
        error.add_note(f"while loading {dataset.describe(index)}")
        raise
