"""Two versions of a job, timed in turns in one process: a machine that slows down slows both."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

from benchmarks import Row


def seconds(job: Callable[[], object]) -> float:
    """The time of one call."""
    start = perf_counter()
    job()
    return perf_counter() - start


def in_turns(
    plain: Callable[[], object], ours: Callable[[], object], rounds: int, warm: int = 1
) -> tuple[list[float], list[float]]:
    """The seconds of every round of both, after `warm` rounds that do not count."""
    for _ in range(warm):
        plain()
        ours()
    pairs = [(seconds(plain), seconds(ours)) for _ in range(rounds)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def compare(
    job: str,
    plain: Callable[[], object],
    ours: Callable[[], object],
    *,
    rounds: int,
    wanted: float | None = None,
    difference: float | None = None,
    per: int = 1,
    warm: int = 1,
    remark: str = "",
) -> Row:
    """A row of the median times of two functions.

    Args:
        rounds: how often each is called.
        wanted: the ratio to be reached.
        difference: the largest one between their results, which the caller has looked at before.
        per: things that one call does, such as images: the row has the milliseconds of one of them.
        warm: calls of each that do not count.
        remark: see `Row`.
    """
    times = in_turns(plain, ours, rounds, warm)
    return row_of_times(job, *times, wanted=wanted, difference=difference, per=per, remark=remark)


def row_of_times(
    job: str,
    plain: list[float],
    ours: list[float],
    *,
    wanted: float | None = None,
    difference: float | None = None,
    per: int = 1,
    remark: str = "",
) -> Row:
    """A row of the seconds of all rounds, taken in turns; see `compare`."""
    before, after = (1000 * median(times) / per for times in (plain, ours))
    halves = [median(plain[half::2]) / median(ours[half::2]) for half in range(2) if len(plain) > 1]
    unsteadiness = abs(halves[0] / halves[1] - 1) if halves else None
    found = Row.of_costs(job, before, after, "ms", difference)
    return Row(**found.as_json() | {"wanted": wanted, "unsteadiness": unsteadiness, "remark": remark})
