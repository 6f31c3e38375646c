"""Several lists: one data set to train on, each its own to validate on."""

import dataclasses

import numpy as np
import pytest

from core.datasets import open_dataset, open_datasets, with_baseline
from core.datasets.joined import JoinedDataset
from core.datasets.loader import batches
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing
from core.training.validation import known_truths, lists_of
from tests.core.kitti_folder import DRIVE, write_drive


@dataclasses.dataclass
class Lists(Monodepth2Options):
    """Monodepth2 with lists of a test."""

    def listings(self, part: str) -> list[Listing]:
        return self.given[part]


@pytest.fixture
def options(tmp_path):
    """Two drives: of three lines, which come twice, and of two lines without a camera."""
    for name, lines in (("first", ["1 l", "2 l", "2 r"]), ("second", ["1", "2"])):
        root = write_drive(tmp_path / name, scans=name == "first")
        for part in ("train", "val"):
            (root / f"{part}_files.txt").write_text("".join(f"{DRIVE} {line}\n" for line in lines))
    first, second = (str(tmp_path / name) for name in ("first", "second"))
    options = Lists(height=64, width=96, png=True, batch_size=4, scales=[0], use_stereo=True)
    listings = [Listing("kitti", first, first, repeat=2), Listing("kitti", second, second, camera="r")]
    options.given = {"train": listings, "val": [dataclasses.replace(listings[0], repeat=1), listings[1]]}
    return options


def test_lists_of_training_are_one_data_set(options):
    dataset = open_dataset(options, "train")
    assert len(dataset) == 8 and [str(line) for line in dataset.lines[5:]] == [
        f"{DRIVE} 2 r",
        f"{DRIVE} 1 r",
        f"{DRIVE} 2 r",
    ]
    first, second = open_datasets(options, "train")
    for index, (part, row) in enumerate(
        [(first, n) for n in (0, 1, 2, 0, 1, 2)] + [(second, 0), (second, 1)]
    ):
        sample, expected = dataset[1, index], part.load(1, row, index - row)
        assert sample.keys() == expected.keys() and sample["index"] == index
        for key, array in sample.items():
            np.testing.assert_array_equal(array, expected[key], err_msg=key)
        assert dataset.target_path(index) == part.target_path(row)
    assert dataset.describe(7) == f"line 2 of the split ({DRIVE} 2 r) of {second.root}"
    assert with_baseline(options, dataset).baseline == 0.54
    found = [batch["index"] for batch in batches(dataset, 0, 4, True, 0, 2, True)]
    assert sorted(np.concatenate(found)) == list(range(8))


def test_repetitions_draw_for_themselves(options):
    dataset = open_dataset(options, "train")
    pairs = [(dataset[epoch, 0]["augmented_0"], dataset[epoch, 3]["augmented_0"]) for epoch in range(8)]
    assert not all(np.array_equal(one, other) for one, other in pairs)


def test_each_list_of_validation_has_its_own_numbers(options):
    lists = lists_of(options, open_dataset(options, "val"))
    assert list(lists) == ["", "second/"] and [len(dataset) for dataset in lists.values()] == [3, 2]
    first, second = lists.values()
    assert all(known_truths(first, 0, {"index": np.array([0, 1])}))
    assert known_truths(second, 0, {"index": np.array([0, 1])}) == [None, None]
    options.given["val"] = options.given["val"][:1]
    (only,) = lists_of(options, open_dataset(options, "val")).items()
    assert only[0] == "" and len(only[1]) == 3


def test_the_truth_of_a_mirrored_sample_of_a_repetition(options):
    dataset = open_dataset(options, "train")
    (part, _) = dataset.datasets
    epoch = next(
        e for e in range(50) if part.augmentation((e, 3)).mirrored and not part.augmentation((e, 0)).mirrored
    )
    once, again = dataset.sample_truth(epoch, 0), dataset.sample_truth(epoch, 3)
    np.testing.assert_array_equal(once.depth, again.depth)
    assert once.depth.any() and not once.mirrored and again.mirrored


def test_lists_that_do_not_fit_together(options):
    options.given["train"][0] = dataclasses.replace(options.given["train"][0], input_depth="velodyne")
    with pytest.raises(UserError, match=r"input_depth: not the same in .*train such lists apart"):
        open_dataset(options, "train")
    options.given["val"][1] = options.given["val"][0]
    with pytest.raises(UserError, match="two have one name"):
        lists_of(options, open_dataset(options, "val"))


def test_too_few_samples(options):
    options.batch_size = 9
    with pytest.raises(UserError, match=r"second: its 8 training samples do not fill one batch of 9"):
        open_dataset(options, "train")
    assert isinstance(open_dataset(options, "val"), JoinedDataset)
