"""Folders of images without lists: the form of their names says which is which frame."""

import numpy as np
import pytest

from core.datasets import open_dataset, reader
from core.datasets.sequences import named_sequences
from core.errors import UserError
from core.files.images import load_image, resize, to_array
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing, Needs
from tests.core.own_images import HEIGHT, WIDTH, numbered, write_images
from tests.tolerances import assert_close


class Named(Monodepth2Options):
    """A method that trains on images of a form."""

    frames_of_samples = (0, -1, 1)

    def needs(self, part):
        return Needs(frames=self.frames_of_samples)

    def preparation(self, part):
        found = super().preparation(part)
        return type(found)(found.height, found.width, mirror="edges")


@pytest.fixture
def root(tmp_path):
    """Two folders, one below the other, and images of other names."""
    write_images(tmp_path / "a", [f"{n:010d}.png" for n in (0, 1, 2, 3, 7)])
    write_images(
        tmp_path / "a" / "deep er", [f"{n:010d}.{end}" for n, end in ((5, "jpg"), (6, "JPEG"), (7, "png"))]
    )
    write_images(tmp_path / "a", ["cover.png", "12.png", "00000000012.png"])
    return tmp_path


def opened(root, form="{:010d}", frames=(0, -1, 1)):
    options = Named(dataset="folder", data_path=str(root), split=form, height=32, width=64, batch_size=1)
    options.frames_of_samples = frames
    return open_dataset(options, "train")


def test_images_with_their_neighbours(root):
    dataset = opened(root)
    assert [(line.folder, line.frame) for line in dataset.lines] == [("a", 1), ("a", 2), ("a/deep er", 6)]
    sample = dataset[0, 2]
    for offset, name in ((-1, "0000000005.jpg"), (0, "0000000006.JPEG"), (1, "0000000007.png")):
        expected = to_array(resize(load_image(root / "a" / "deep er" / name), 32, 64))
        np.testing.assert_array_equal(sample[f"image_{offset}_0"], expected)
    news = dataset.news()
    assert f"{root}: 8 images named '{{:010d}}', 3 samples; 5 have no neighbours" in news
    assert len(opened(root, frames=(0,))) == 8


def test_assumed_intrinsics(root):
    """Of the file 1000, 0, W / 2 - 0.5; rows of K scale with the image."""
    dataset = opened(root)
    own = np.array([[1000, 0, WIDTH / 2 - 0.5], [0, 1000, HEIGHT / 2 - 0.5], [0, 0, 1]])
    assert_close(dataset[0, 0]["K"], own * [[64 / WIDTH], [32 / HEIGHT], [1]])
    assert any("an estimate: focal lengths of 1000 pixels" in line for line in dataset.news())
    text = "fx: 90\nfy: 88\ncx: 40\ncy: 30\nwidth: 96\nheight: 48\n"
    (root / "intrinsics.yaml").write_text(text)
    assert_close(opened(root)[0, 0]["K"][0, 0], 90 * 64 / WIDTH)


@pytest.mark.parametrize(
    ("form", "frames"),
    [("{:06d}", {5, 1234567}), ("{}", set()), ("{:d}", set()), ("cam2_{:03}", {7}), ("f.{}.x", {0, 10})],
)
def test_forms(tmp_path, form, frames):
    names = [
        "000005",
        "1234567",
        "0123456",
        "cam2_007",
        "cam2_7",
        "cam3_007",
        "f.0.x",
        "f.10.x",
        "f.01.x",
        "fx1.x",
    ]
    write_images(tmp_path, [f"{name}.png" for name in names])
    if form in ("{}", "{:d}"):
        frames = {1234567}
    (found,) = named_sequences(tmp_path, form).values()
    assert set(found.cameras[2]) == frames and not found.is_stereo


def test_a_form_that_nothing_has(root):
    message = r"no image has a name of the form '\{:05d\}'; the first of 11 is .*0000000000\.png"
    with pytest.raises(UserError, match=message):
        opened(root, "{:05d}")
    with pytest.raises(UserError, match=r"8 images named .*, but none with all the frames 0 9;"):
        opened(root, frames=(0, 9))
    (root / "empty").mkdir()
    with pytest.raises(UserError, match="there are none at all"):
        opened(root / "empty")


@pytest.mark.parametrize(
    "form",
    ["{0.__class__}", "{:10d}", "{:0999999999d}", "{:010d}{}", "{{}}", "{:010d", "{name}", "{!r}", "{:x}"],
)
def test_what_is_no_form(root, form):
    with pytest.raises(UserError, match="is no form of an image's name"):
        opened(root, form)


def test_nothing_is_validated_that_was_trained(root):
    options = Monodepth2Options(dataset="folder", data_path=str(root), split="{:010d}")
    with pytest.raises(UserError, match="names all images, which would be validated on as well"):
        options.validate()
    Monodepth2Options(dataset="folder", data_path=str(root), split="{:010d}", validation=False).validate()
    listing = Listing("folder", str(root), "{:010d}")
    stereo = Needs(frames=(0, "s"))
    with pytest.raises(UserError, match="one camera; leave out --use_stereo"):
        reader("folder").split_lines(listing, "train", stereo)


def test_lists_are_lists_as_before(root):
    write_images(root / "plain", numbered(range(4)))
    (root / "train_files.txt").write_text("plain 1 l\n")
    dataset = opened(root, str(root))
    assert [str(line) for line in dataset.lines] == ["plain 1 l"]
    assert "60°" in dataset.news()[0]
