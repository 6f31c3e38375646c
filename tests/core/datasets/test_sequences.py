"""Own folders: which image is which frame, what is a sequence, and every mistake in them."""

import pytest
from PIL import Image

import make_split
from core.datasets import sequences
from core.datasets.frame_names import frame_numbers
from core.datasets.sequences import find_sequences, read_sequence
from core.datasets.splits import SplitLine, load_split
from core.errors import UserError
from tests.core.kitti_folder import noise
from tests.core.own_images import numbered, write_images
from tests.core.samples import open_lines

START = 1403636579763555584  # nanoseconds


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


def shortest(count, step, first=1):
    """Times as `%g` writes them."""
    return [f"{step * n:g}" for n in range(first, first + count)]


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (shortest(30, 0.05), range(30)),  # G6: 0.1 0.2 0.3 0.4 0.05 0.5 before
        (["0.05", "0.1"], range(2)),
        (shortest(30, 0.1, 5), range(30)),
        (shortest(20, 1 / 64), range(20)),
        (shortest(4, 0.00005), range(4)),  # 5e-05, 0.0001, …
        ([f"{0.05 * n:.6f}" for n in range(10, 30)], range(20)),  # padded: none is lost at a full second
        ([f"{1305031102 + 0.033 * n:.6f}" for n in range(40)], range(40)),
        (["cam0_9.95", "cam0_10", "cam0_10.05", "cam0_10.2"], [0, 1, 2, 5]),
        ([f"{0.05 * n:g}" for n in (1, 2, 3, 7, 8)], [0, 1, 2, 6, 7]),
        # No times: parts of recordings, dates, versions.
        (["seq1.9", "seq1.10", "seq1.11"], [9, 10, 11]),
        (["seq1.0001", "seq1.0002", "seq2.0001", "seq2.0002"], [0, 1, 3, 4]),
        (["frame.0009", "frame.0010"], [9, 10]),
        (["2011.09.26.0001", "2011.09.26.0002"], [1, 2]),
        (["v1.2_7", "v1.2_8"], [7, 8]),
        # Seconds and nanoseconds, both whole numbers without zeros before them.
        (["5.63555584", "5.113555584", "5.163555584"], [0, 1, 2]),
    ],
)
def test_times_with_decimals(names, frames):
    assert frame_numbers(set(names)) == dict(zip(names, frames, strict=True))


def test_a_name_of_many_digits_is_exact():
    names = [f"0.{'0' * 60}{n}" for n in range(10, 13)]
    assert list(frame_numbers(set(names)).values()) == [10, 11, 12]


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


def nanoseconds(count, offset=0, step=50_000_000):
    return [str(START + offset + n * step) for n in range(count)]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        # W5: left 1 with the first right one, 3 ms later.
        (nanoseconds(14), nanoseconds(14, 3_000_000)[1:], {n: n - 1 for n in range(1, 14)}),
        (nanoseconds(14)[2:], nanoseconds(14, -2_000_000), {n: n + 2 for n in range(12)}),
        # Every second image has a right one; an image of the right camera between two of the left.
        (nanoseconds(10), nanoseconds(5, 0, 100_000_000), {2 * n: n for n in range(5)}),
        (nanoseconds(4), [*nanoseconds(4, 1), str(START + 20_000_000)], {0: 0, 1: 2, 2: 3, 3: 4}),
        # By number: of other steps, other zeros, with what stands around it.
        (
            [f"left_{n}" for n in range(0, 20, 2)],
            [f"right_{n}" for n in range(4, 20, 2)],
            {n + 2: n for n in range(8)},
        ),
        (
            [f"left_{n}" for n in range(1, 12)],
            [f"right_{n:04d}" for n in range(3, 12)],
            {n + 2: n for n in range(9)},
        ),
        (
            [f"{n:04d}_cam0" for n in range(8, 12)],
            [f"{n:04d}_cam1" for n in range(9, 12)],
            {1: 0, 2: 1, 3: 2},
        ),
        (["apple_l", "bird_l", "cat_l"], ["bird_r", "cat_r"], {1: 0, 2: 1}),
        # Times of which one is the same by chance.
        (["0000", "0050", "0100", "0150"], ["0000", "0053", "0103", "0153"], {0: 0, 1: 1, 2: 2, 3: 3}),
        (
            [f"{0.05 * n:g}" for n in range(1, 30)],
            [f"{0.05 * n + 0.002:.3f}" for n in range(3, 30)],
            {n + 2: n for n in range(27)},
        ),
    ],
)
def test_stereo_pairs_are_never_counted(tmp_path, left, right, expected):
    write_images(tmp_path / "left", [f"{name}.png" for name in left], size=(4, 8))
    write_images(tmp_path / "right", [f"{name}.png" for name in right], size=(4, 8))
    sequence = read_sequence(tmp_path)
    lefts, rights = (
        [name for name in names] for names in (left, sorted(right, key=frame_numbers(set(right)).get))
    )
    pairs = {
        lefts.index(path.stem): rights.index(sequence.cameras[3][frame].stem)
        for frame, path in sequence.cameras[2].items()
        if frame in sequence.cameras[3]
    }
    assert pairs == expected


def test_pairs_by_time_are_said(tmp_path, capsys):
    """W5."""
    for side, names in (("left", nanoseconds(14)), ("right", nanoseconds(14, 3_000_000)[1:])):
        write_images(tmp_path / "a" / side, [f"{name}.png" for name in names])
    make_split.main(
        ["--data_path", str(tmp_path), "--use_stereo", "--frame_ids", "0", "--validation_share", "0.2"]
    )
    said = "a: 13 stereo pairs by the nearest time in their names, up to 6% of the usual step apart"
    assert said in capsys.readouterr().out
    lines = load_split(tmp_path / "splits", "train")
    dataset = open_lines("folder", tmp_path, lines, frames=(0, "s"))
    assert sum(said in note for note in dataset.notes) == 1
    stems = [[int(dataset.image_path(line, frame).stem) for frame in (0, "s")] for line in lines]
    assert {abs(one - other) for one, other in stems} == {3_000_000} and lines[0].frame == 1


def test_images_that_are_of_no_moment(tmp_path):
    for side, names in (("left", nanoseconds(14)), ("right", nanoseconds(14, 20_000_000))):
        write_images(tmp_path / side, [f"{name}.png" for name in names], size=(4, 8))
    with pytest.raises(
        UserError, match=r"no two images of left and right have the same name, number or time"
    ):
        read_sequence(tmp_path)


def test_names_lists_and_poses_have_one_number(tmp_path):
    """W14: every fifth image of a video."""
    write_images(tmp_path / "seq", numbered(range(0, 70, 5)))
    (tmp_path / "seq" / "000040.png").unlink()
    make_split.main(["--data_path", str(tmp_path)])
    lines = [line for part in ("train", "val") for line in load_split(tmp_path / "splits", part)]
    assert [line.frame for line in lines][:3] == [5, 10, 15] and not {35, 40, 45} & {
        line.frame for line in lines
    }
    own = [SplitLine("seq", number, "l") for number in (0, 5, 10)]
    dataset = open_lines("folder", tmp_path, own, frames=(0,))
    assert [dataset.image_path(line, 0).name for line in own] == numbered([0, 5, 10])  # 0, 25 and 50 before
    dataset = open_lines("folder", tmp_path, [own[1]], frames=(0, -1, 1))
    assert [dataset.image_path(own[1], n).name for n in (-1, 1)] == numbered([0, 10])
    for counted in (1, 7, 13):
        with pytest.raises(
            UserError, match=rf"no image has the number {counted} in its name \(0 to 65, 13 images"
        ):
            open_lines("folder", tmp_path, [SplitLine("seq", counted, "l")], frames=(0,))
    gone = open_lines("folder", tmp_path, [own[0], SplitLine("seq", 40, "l")], frames=(0,))
    with pytest.raises(UserError, match=r"no such image \(1 are missing\); line 2 of the split \(seq 40 l\)"):
        gone.check_files()


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["frame_50", "frame_100", "frame_151"], [50, 100, 151]),  # times in milliseconds
        (["a_3", "b_7"], [3, 7]),
        (["7", "8", "10"], [7, 8, 10]),
        (["day1_0", "day1_1", "day2_0"], [0, 1, 3]),  # none is clear: they are counted
        (nanoseconds(3), [0, 1, 2]),  # too long for a list
        (shortest(3, 0.05), [0, 1, 2]),
        (["apple", "bird"], [0, 1]),
    ],
)
def test_what_a_list_calls_an_image(tmp_path, names, numbers):
    write_images(tmp_path, [f"{name}.png" for name in names], size=(4, 8))
    sequence = read_sequence(tmp_path)
    assert [sequence.number_of(frame) for frame in sequence.cameras[2]] == numbers
    assert [sequence.cameras[2][sequence.frame_of(number)].stem for number in numbers] == names


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


@pytest.mark.parametrize("target", ["/", "..", "../..", "../ride", "."])
def test_links_that_lead_around(tmp_path, target):
    """Whatever a data set's archive holds: the way through the whole disk would take minutes or never end."""
    data = tmp_path / "above" / "data"
    write_images(data / "ride", ["1.png", "2.png"])
    write_images(tmp_path / "above" / "others", ["1.png"])
    write_images(tmp_path / "elsewhere", ["1.png"])
    (data / "ride" / "link").symlink_to(target)
    (data / "far").symlink_to(tmp_path / "elsewhere")
    assert sorted(find_sequences(data)) == ["far", "ride"]


def test_far_too_many_folders(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / str(number)).mkdir()
    monkeypatch.setattr(sequences, "MOST_FOLDERS", 4)
    with pytest.raises(
        UserError, match=r"more than 4 folders, such as .*; name the folder of the data, or remove"
    ):
        find_sequences(tmp_path)
