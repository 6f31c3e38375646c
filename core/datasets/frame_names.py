"""Which image is which frame: the numbers and times in names of images, and the two images of one moment."""

import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from decimal import Context, Decimal
from itertools import pairwise
from typing import NamedTuple

MOST_FRAME = 10**10 - 1  # a split list has ten digits for it
LONGEST_GAP = 1000  # in counted frames: one gap is like another, and no source is that far away
NEIGHBOURS = 0.5, 1.5  # usual steps between two frames that follow each other
ONE_MOMENT = 0.1  # of a usual step: nearer times of two cameras are the same; a car drives 7 cm meanwhile
EXACT = Context(prec=400)  # names of files have 255 characters
COUNTED = re.compile("([0-9]+)")
# Times such as 0.05 or 12.350000, but no dates with points; %g writes the shortest ones as 5e-05.
TIMES = re.compile(
    r"(^[0-9]+(?:\.[0-9]+)?e[+-][0-9]{2}$|(?<![0-9])(?<![0-9]\.)[0-9]+\.[0-9]+(?!\.?[0-9])|[0-9]+)"
)


class Name(NamedTuple):
    """A name of an image.

    Attributes:
        text: all of it.
        rest: what is around its number.
        number: the last one that is not the same in all names, in units of its last digit.
    """

    text: str
    rest: str
    number: int


class Names(NamedTuple):
    """Names of a folder in the order in which the images were taken.

    Attributes:
        ordered: all that have a number.
        are_times: the numbers have decimals.
    """

    ordered: list[Name]
    are_times: bool

    @property
    def steps(self) -> list[int | None]:
        """From each number to the next; None where the rest of the name changes."""
        return [
            name.number - before.number if name.rest == before.rest else None
            for before, name in pairwise(self.ordered)
        ]

    @property
    def usual_step(self) -> int:
        """The median of the steps; 0 where there are none."""
        steps = sorted(step for step in self.steps if step)
        return steps[(len(steps) - 1) // 2] if steps else 0

    @property
    def regularity(self) -> float:
        """The share of the steps that are about the usual one."""
        steps, usual = self.steps, self.usual_step
        return sum(_is_neighbour(step, usual) for step in steps) / max(1, len(steps))


def _is_neighbour(step: int | None, usual: int) -> bool:
    return step is not None and NEIGHBOURS[0] * usual <= step <= NEIGHBOURS[1] * usual and step > 0


def natural_key(text: str) -> list[str | int]:
    """Sorts `frame9` before `frame10`."""
    return [int(part) if n % 2 else part for n, part in enumerate(COUNTED.split(text))]


def read_names(names: Collection[str]) -> Names:
    """Reads the numbers in names of images: as times with decimals where that makes their steps more regular.

    So 0.05, 0.1, 0.15 are times (also 0.950000, 1.000000), but seq1.9, seq1.10, seq1.11 are counted.
    """
    counted = Names(_numbers(names, COUNTED), False)
    if not any(mark in name for name in names for mark in (".", "e-", "e+")):
        return counted
    times = Names(_numbers(names, TIMES), True)
    if times.ordered == counted.ordered:
        return counted
    fractions = [name.partition(".")[2] for name in names]
    tie = len(set(map(len, fractions))) > 1 and any(len(f) > 1 and f[0] == "0" for f in fractions)
    regular, other = times.regularity, counted.regularity
    return times if regular > other or (regular == other and tie) else counted


def sorted_by_numbers(names: Collection[str]) -> list[str]:
    """Names in natural order, where times with decimals are one number."""
    ordered = [name.text for name in read_names(names).ordered]
    return ordered if len(ordered) == len(names) else sorted(names, key=natural_key)


def _numbers(names: Collection[str], pattern: re.Pattern[str]) -> list[Name]:
    split = {name: pattern.split(name) for name in names}  # numbers at odd places
    values = {name: [Decimal(part) for part in parts[1::2]] for name, parts in split.items()}
    ordered = sorted(
        names, key=lambda name: [values[name][n // 2] if n % 2 else p for n, p in enumerate(split[name])]
    )
    shared = min(map(len, values.values()), default=0)
    varying = [n for n in range(1, shared + 1) if len({found[-n] for found in values.values()}) > 1]
    place = min(varying, default=1)
    digits = max((_decimals(found[-place]) for found in values.values() if found), default=0)
    return [
        Name(
            name,
            "".join([*split[name][: -2 * place], "\0", *split[name][len(split[name]) - 2 * place + 1 :]]),
            int(values[name][-place].scaleb(digits, EXACT)),
        )
        for name in ordered
        if values[name]
    ]


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def frame_numbers(names: set[str]) -> dict[str, int]:
    """The frame of each image, by its name without extension.

    It is the last number in the name that is not the same in all (as a camera's may be), where any two differ by one.
    Where all differ by more (every fifth image of a video, times in nanoseconds) the usual difference counts as one,
    from 0 on; of times with decimals, too. So a hole in the numbers is a hole in the frames: 7 and 9 are no
    neighbours. A change in the rest of the name is a hole too. Names without numbers are counted from 0 in natural
    order.
    """
    read = read_names(names)
    if not any(read.steps):  # 0_left, 0_right, 1_left: of two cameras, one after the other
        read = read._replace(ordered=sorted(read.ordered, key=lambda name: (name.rest, name.number)))
    steps, ordered = read.steps, [name.text for name in read.ordered]
    regular = sorted(step for step in steps if step)
    if len(ordered) < len(names) or (steps and not regular):
        return {name: frame for frame, name in enumerate(sorted(names, key=natural_key))}
    usual = read.usual_step if read.are_times or regular[:1] not in ([], [1]) else 1
    are_frames = usual == 1 and not read.are_times and not {0, None} & set(steps)
    if are_frames and read.ordered[-1].number <= MOST_FRAME:
        return {name.text: name.number for name in read.ordered}
    frames = [0]
    for step in steps:
        frames.append(frames[-1] + (2 if step is None else counted_steps(step, usual)))
    return dict(zip(ordered, frames, strict=True))


def counted_steps(step: float, usual: float) -> int:
    """How many frames later an image was taken: 1 for a neighbour, more across a hole.

    Args:
        step: between their numbers or times.
        usual: the usual one, above 0.
    """
    return min(max(1, round(step / usual)), LONGEST_GAP)


def file_numbers(names: set[str]) -> dict[str, int]:
    """The number that `frame_numbers` looks at, as it is written; empty where some have none, or the same, or decimals.

    It is what a list, a file of poses and a truth call the image.
    """
    read = read_names(names)
    numbers = {name.text: name.number for name in read.ordered}
    is_clear = not read.are_times and len(set(numbers.values())) == len(names)
    return numbers if is_clear else {}


# ---- the two images of a moment ----------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """Which images of two cameras are of one moment.

    Attributes:
        names: of each image of the right camera that is used, the name of the moment: that of its left image.
        paired: how many there are.
        by_time: they are pairs by times that differ.
        farthest: between the times of a pair, as a share of the usual step.
        left_out: images of the right camera that are near an image of the left one, but not of its moment.
    """

    names: dict[str, str]
    paired: int
    by_time: bool = False
    farthest: float = 0.0
    left_out: int = 0


def find_pairs(left: Collection[str], right: Collection[str]) -> Pairs:
    """Pairs of two cameras: images of the same name, or else of the same number, or of the nearest time.

    What all names of a camera begin and end with, such as `left_`, counts for nothing.

    Args:
        left, right: names without extension.
    """
    shared = set(left) & set(right)
    if len(shared) == min(len(left), len(right)):
        return Pairs({name: name for name in right}, len(shared))
    alike = {name: name for name in right}
    if not shared:
        (before, after), others = _around(left), _around(right)
        alike = {name: before + name[len(others[0]) : len(name) - len(others[1])] + after for name in right}
    read = read_names({*left, *alike.values()})
    if len(read.ordered) < len({*left, *alike.values()}):
        return Pairs(alike, len(set(left) & set(alike.values())))
    return _nearest(read, set(left), alike)


def _nearest(read: Names, left: set[str], alike: dict[str, str]) -> Pairs:
    numbers = {name.text: (name.rest, name.number) for name in read.ordered}
    own = [_own_step(read, names) for names in (left, set(alike.values()))]
    usual = min(filter(None, own), default=0)
    lefts = sorted((*numbers[name], name) for name in left)
    rights = sorted((*numbers[name], name) for name in set(alike.values()))
    moments: dict[str, str] = {}
    farthest = left_out = 0
    for rest, time, name in rights:
        found = _closest(lefts, rest, time)
        distance = usual if found is None else abs(found[1] - time)
        if (
            found
            and distance <= ONE_MOMENT * usual
            and _closest(rights, rest, found[1]) == (rest, time, name)
        ):
            moments[name] = found[2]
            farthest = max(farthest, distance)
        elif distance >= NEIGHBOURS[0] * usual:
            moments[name] = name  # of a moment that the left camera has not seen
        else:
            left_out += 1
    names = {name: moments[same] for name, same in alike.items() if same in moments}
    count = len(left & set(moments.values()))
    return Pairs(names, count, farthest > 0, farthest / usual if usual else 0.0, left_out)


def _own_step(read: Names, names: set[str]) -> int:
    return Names([name for name in read.ordered if name.text in names], read.are_times).usual_step


def _closest(places: Sequence[tuple[str, int, str]], rest: str, time: int) -> tuple[str, int, str] | None:
    """That of the same rest whose time is the nearest."""
    after = bisect_left(places, (rest, time, ""))
    around = [place for place in places[max(0, after - 1) : after + 1] if place[0] == rest]
    return min(around, key=lambda place: abs(place[1] - time), default=None)


def _around(names: Collection[str]) -> tuple[str, str]:
    """What all names begin and end with, without a part of a number or a word."""
    before = re.sub(r"[0-9]+(?:\.[0-9]*)?$", "", _beginning(list(names)))
    if not all(name[len(before) :][:1].isdigit() for name in names):
        before = re.sub(r"[0-9A-Za-z]+$", "", before)
    cores = [name[len(before) :] for name in names]
    after = re.sub(r"^[0-9]*(?:\.?[0-9]+)?", "", _beginning([core[::-1] for core in cores])[::-1])
    if not all(core[: len(core) - len(after)][-1:].isdigit() for core in cores):
        after = re.sub(r"^[0-9A-Za-z]+", "", after)
    return before, after


def _beginning(names: list[str]) -> str:
    """What all names begin with."""
    first, last = min(names), max(names)
    differs = (n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differs, len(first))]


def describe_pairs(pairs: Pairs) -> str:
    """One line for the user, of pairs by time."""
    left_out = (
        f"; {pairs.left_out} images of the right camera are of no moment of the left one"
        if pairs.left_out
        else ""
    )
    return (
        f"{pairs.paired} stereo pairs by the nearest time in their names, up to {pairs.farthest:.0%} of the usual step "
        f"apart{left_out}"
    )
