"""Lists that training, validation and tests share lines of, and lists of which much is not there."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from core.plausibility.checks import unlikely

NEIGHBOUR = 1  # frames; a tenth of a second farther the image is nearly the same
Place = tuple[
    str, int, int | str | None
]  # folder, frame and camera of a line, or its name; None: the only one
# What tables call a row whose network was trained on the images that it is measured on, and one that shares some.
REFINED, SHARED = "refined on the test frames", "some test frames trained on"


def check_lines(where: str, places: Sequence[Place]) -> None:
    """Says how many lines of a validation or test stand there before: their images count more than others."""
    counts = Counter(places)
    again = len(places) - len(counts)
    if again:
        folder, frame, _ = counts.most_common(1)[0][0]
        unlikely(
            "list_lines",
            f"{where}: {again} of {len(places)} lines stand there before, such as {folder} {frame}: their images count "
            "more than others; keep each line once",
        )


def check_validation(where: str, trained: Collection[Place], validated: Sequence[Place]) -> None:
    """Says how many lines of a validation are trained on."""
    known = set(trained)
    both = sum(place in known for place in validated)
    if both:
        unlikely(
            "validation_overlap",
            f"{where}: {both} of {len(validated)} validation lines are trained on, so a validation shows how "
            "well they are learnt by heart; hold out others, such as by make_split.py",
        )


def seen_in_training(trained: Iterable[Place], tested: Sequence[Place]) -> tuple[int, int]:
    """How many images of a test are in a training list; and how many more have a direct neighbour there.

    The other camera of a pair counts: it saw the same.
    """
    frames = {(folder, frame) for folder, frame, _ in trained}
    same = near = 0
    for folder, frame, _ in tested:
        if (folder, frame) in frames:
            same += 1
        elif any((folder, frame + offset) in frames for offset in (-NEIGHBOUR, NEIGHBOUR)):
            near += 1
    return same, near


@dataclass(frozen=True)
class Seen:
    """How many images of a test were trained on, and how many more lie beside such; see `seen_in_training`."""

    same: int
    near: int
    images: int

    @property
    def mark(self) -> str | None:
        """What a table says of the row: `REFINED` where most images were trained on, else `SHARED`; None: nothing."""
        if 2 * self.same > self.images:
            return REFINED
        return SHARED if self.same + self.near else None

    def describe(self) -> str | None:
        """The same for a report of one evaluation."""
        if self.mark is None:
            return None
        if self.mark == REFINED:
            return f"{REFINED}: {self.same} of {self.images} test images were trained on; not comparable"
        return "not comparable: test images, or their neighbours, were trained on"

    def to_json(self) -> dict[str, int | str | None]:
        """Everything, and the mark."""
        return {"mark": self.mark, "same": self.same, "near": self.near, "images": self.images}


def check_test(where: str, trained: Iterable[Place], tested: Sequence[Place]) -> bool:
    """Says how many images of a test are in a training list, or beside one; whether there are any."""
    same, near = seen_in_training(trained, tested)
    if same + near:
        unlikely(
            "test_overlap",
            f"{where}: {same} of {len(tested)} test images are in the training list, {near} more are direct "
            "neighbours of such: what is measured on them is not comparable; train without them",
        )
    return bool(same + near)


def by_folder(lacking: Iterable[str], listed: Iterable[str]) -> str:
    """How many lines of a list lack something, of which drives.

    Args:
        lacking: the folder of each such line.
        listed: the folder of every line.
    """
    without, whole = Counter(lacking), Counter(listed)
    gone = [folder for folder, count in without.items() if count == whole[folder]]
    lines = f"{without.total()} of {whole.total()} lines"
    if not gone:
        return f"{lines}, in {len(without)} of {len(whole)} folders"
    return f"{lines}; of {len(gone)} of {len(whole)} folders, such as {gone[0]}, there is nothing"
