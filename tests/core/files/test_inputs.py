"""What `--image_path` may name, and where results go."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.files.inputs import OUTPUTS, find_images, find_video, in_batches, output_stems


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def test_images_of_a_folder_are_sorted_and_of_the_wanted_kinds(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "c.JPG", "a.jpeg", "d.txt", "png")
    (tmp_path / "e.png").mkdir()
    assert [path.name for path in find_images(str(tmp_path), ["jpg", "jpeg", "png"])] == [
        "a.jpeg",
        "b.png",
        "c.JPG",
    ]
    assert [path.name for path in find_images(str(tmp_path), [".png"])] == ["b.png"]


def test_one_image_and_a_pattern(tmp_path: Path) -> None:
    a, b, _ = touch(tmp_path, "a1.png", "a2.png", "b.png")
    assert find_images(str(a), ["jpg"]) == [a]
    assert find_images(str(tmp_path / "a*.png"), ["jpg"]) == [a, b]
    odd = touch(tmp_path, "[1].png")
    assert find_images(str(odd[0]), ["jpg"]) == odd


@pytest.mark.parametrize("what", ["", "*"])
def test_results_of_an_earlier_run_are_no_input(tmp_path: Path, what: str) -> None:
    (image,) = touch(tmp_path, "a.jpeg")
    touch(tmp_path, *(f"a{suffix}" for suffix in OUTPUTS))
    assert find_images(str(tmp_path / what), ["jpeg", "npy", "npz", "png"]) == [image]


def test_a_list_keeps_its_order_and_names_each_once(tmp_path: Path) -> None:
    a, b = touch(tmp_path / "more photos", "a.png", "b c.png")
    (tmp_path / "list.txt").write_text(f"more photos/b c.png\r\n\n  {a}  \nmore photos/b c.png\n")
    assert find_images(str(tmp_path / "list.txt"), ["jpg"]) == [b, a]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"a.png\n\nmissing.png\n",
            r"list\.txt: line 3: .*missing\.png: no such image; paths are relative to",
        ),
        (b"a.png\n\0\n", r"list\.txt: line 2: .*no such image"),
        (b"\xff\xfe\0", r"list\.txt: cannot be read as a list of images"),
        (b" \n", r"list\.txt: lists no images; write one path per line"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        find_images(str(tmp_path / "list.txt"), ["jpg"])


def test_nothing_found(tmp_path: Path) -> None:
    touch(tmp_path, "a.gif", "b_disp.jpeg")
    with pytest.raises(UserError, match=r"no images \*\.jpg, \*\.jpeg; see --ext") as error:
        find_images(str(tmp_path), ["jpg", "jpeg"])
    assert str(error.value).startswith(str(tmp_path))
    for name in ("absent.png", "*.png"):
        with pytest.raises(UserError, match="no such image, and no image matches it as a pattern"):
            find_images(str(tmp_path / name), ["jpg"])


def test_videos_and_cameras(tmp_path: Path) -> None:
    (video,) = touch(tmp_path, "a.MP4")
    assert find_video(str(video)) == video
    assert (find_video("webcam"), find_video("webcam:0"), find_video("webcam:12")) == (0, 0, 12)
    folder = tmp_path / "frames.avi"
    folder.mkdir()
    for other in (folder, tmp_path / "a.png", "webcam.png", "webcam:x", str(tmp_path / "*.png")):
        assert find_video(str(other)) is None
    for missing in ("b.mp4", "*.mp4"):
        with pytest.raises(UserError, match="no such video"):
            find_video(str(tmp_path / missing))


def test_where_results_go(tmp_path: Path) -> None:
    a, b = touch(tmp_path, "a.b.png", "c.png")
    assert output_stems([a, b], None) == {a: tmp_path / "a.b", b: tmp_path / "c"}
    assert output_stems([a], "out") == {a: Path("out") / "a.b"}


def test_two_images_never_share_results(tmp_path: Path) -> None:
    images = touch(tmp_path, "a.jpg", "a.png")
    with pytest.raises(UserError, match=r"a\.jpg and .*a\.png would both be written"):
        output_stems(images, None)
    images = touch(tmp_path / "one", "a.jpg") + touch(tmp_path / "two", "a.jpg")
    assert len(output_stems(images, None)) == 2
    with pytest.raises(UserError, match="would both be written"):
        output_stems(images, "out")


def test_batches_are_taken_as_they_are_needed() -> None:
    taken = []

    def items():
        for number in range(5):
            taken.append(number)
            yield number

    batches = in_batches(items(), 2)
    assert next(batches) == [0, 1] and taken == [0, 1]
    assert list(batches) == [[2, 3], [4]]
