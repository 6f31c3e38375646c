"""Own folders: which image is which frame, what is a sequence, and every mistake in them."""

import pytest
from PIL import Image

from core.datasets.frame_names import frame_numbers
from core.datasets.sequences import find_sequences, read_sequence
from core.errors import UserError
from tests.core.kitti_folder import noise
from tests.core.own_images import numbered, write_images


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["000007", "000008", "000009"], [7, 8, 9]),
        (["img_9", "img_10", "img_11"], [9, 10, 11]),  # natural order
        (["7", "8", "10"], [7, 8, 10]),  # a gap is a gap
        (["frame0005_left", "frame0006_left"], [5, 6]),
        (["frame_0007_cam2", "frame_0009_cam2", "frame_0010_cam2"], [7, 9, 10]),  # the camera is no time
        (["0", "5", "10", "20", "25"], [0, 1, 2, 4, 5]),  # every fifth; 15 is missing
        (["1403636579763555584", "1403636579813555456", "1403636579863555584"], [0, 1, 2]),
        (
            ["1403636579763555584", "1403636579813555456", "1403636579963555584", "1403636580013555584"],
            [0, 1, 4, 5],
        ),
        (["day1_0", "day1_1", "day2_0", "day2_1"], [0, 1, 3, 4]),  # another day is no neighbour
        (["apple", "bird", "cat"], [0, 1, 2]),
        (["apple", "bird2", "cat3"], [0, 1, 2]),
        (["only"], [0]),
        (["000007"], [7]),
        (["1", "3", "5", "6", "8", "10"], [1, 3, 5, 6, 8, 10]),  # most were taken away
        (["a١", "a1", "b"], [1, 0, 2]),  # digits of another script are letters
        (["20240101000001", "20240101000002", "20240101000009"], [0, 1, 8]),  # too long for a split list
    ],
)
def test_frames_follow_from_names(names, frames):
    assert frame_numbers(set(names)) == dict(zip(names, frames, strict=True))


def test_one_camera(tmp_path):
    write_images(
        tmp_path, [*numbered([3, 4]), "000005.JPG", "000006.jpeg", ".hidden.png", "000003_disp.jpeg"]
    )
    (tmp_path / "notes.txt").write_text("no image")
    sequence = read_sequence(tmp_path)
    assert not sequence.is_stereo
    files = {frame: path.name for frame, path in sequence.cameras[2].items()}
    assert files == {3: "000003.png", 4: "000004.png", 5: "000005.JPG", 6: "000006.jpeg"}


@pytest.mark.parametrize(
    "folders", [("left", "right"), ("image_02", "image_03"), ("cam0/data", "cam1/data"), ("rgb", "rgb2")]
)
def test_stereo_pairs_have_the_same_name(tmp_path, folders):
    write_images(tmp_path / folders[0], numbered([1, 2, 3]))
    write_images(tmp_path / folders[1], numbered([2, 3, 4], "jpg"))
    sequence = read_sequence(tmp_path)
    assert [list(images) for images in sequence.cameras.values()] == [[1, 2, 3], [2, 3, 4]]
    assert sequence.cameras[3][2] == tmp_path / folders[1] / "000002.jpg"


def test_stereo_pairs_may_have_the_same_number(tmp_path):
    write_images(tmp_path / "left", ["left_8.png", "left_9.png"])
    write_images(tmp_path / "right", ["right_8.png", "right_9.png"])
    sequence = read_sequence(tmp_path)
    assert sequence.cameras[2].keys() == sequence.cameras[3].keys() == {8, 9}


def test_sequences_are_found(tmp_path):
    write_images(tmp_path, ["1.png", "2.png"])
    write_images(tmp_path / "b" / "2", ["1.png"])
    write_images(tmp_path / "b" / "10" / "left", ["1.png"])
    write_images(tmp_path / "b" / "10" / "right", ["1.png"])
    write_images(tmp_path / "c" / "left", ["1.png"])  # without a right one
    for camera in ("cam0", "cam1"):
        write_images(tmp_path / "e" / "mav0" / camera / "data", ["1403636579763555584.png"])
    write_images(tmp_path / ".cache", ["1.png"])
    (tmp_path / "splits").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = find_sequences(tmp_path)
    assert list(found) == [".", "b/2", "b/10", "c/left", "e/mav0"]
    assert [name for name, sequence in found.items() if sequence.is_stereo] == ["b/10", "e/mav0"]


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match="holds no images"):
        find_sequences(tmp_path)
    with pytest.raises(UserError, match=r"absent: no such folder of images"):
        read_sequence(tmp_path / "absent")
    write_images(tmp_path / "my drive", ["1.png"])
    with pytest.raises(UserError, match="my drive: a blank in the name"):
        find_sequences(tmp_path)
    write_images(tmp_path / "twice", ["1.png", "1.jpg"])
    with pytest.raises(UserError, match=r"1\.png and .*1\.jpg have the same name"):
        read_sequence(tmp_path / "twice")
    write_images(tmp_path / "pair" / "left", ["1.png", "2.png"])
    write_images(tmp_path / "pair" / "right", ["7.png", "8.png"])
    with pytest.raises(UserError, match="no two images of left and right"):
        read_sequence(tmp_path / "pair")
    (tmp_path / "pair" / "right" / "7.png").unlink()
    (tmp_path / "pair" / "right" / "8.png").unlink()
    with pytest.raises(UserError, match="pair: no images"):
        read_sequence(tmp_path / "pair")


def test_the_size_is_that_of_the_first_readable_image(tmp_path):
    write_images(tmp_path, ["2.png"], size=(20, 40))
    (tmp_path / "1.png").write_bytes(b"damaged")
    assert read_sequence(tmp_path).image_size() == (20, 40)
    (tmp_path / "2.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"2\.png: damaged"):
        read_sequence(tmp_path).image_size()


def test_the_size_of_a_photo_held_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("1.jpg", "2.png"):
        Image.fromarray(noise(20, 40, 0)).save(tmp_path / name, exif=exif)
    assert read_sequence(tmp_path).image_size() == (40, 20)
