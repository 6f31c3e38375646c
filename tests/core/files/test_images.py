"""Images: bits as recorded, and damaged files."""

import ast
import io

import numpy as np
import pytest
from PIL import Image

from core.datasets.depth_files import read_map
from core.errors import UserError
from core.files.images import (
    FORMATS,
    BadImageError,
    as_images,
    image_size,
    load_image,
    open_image,
    pyramid,
    resize,
    to_array,
)
from tests.conftest import ROOT
from tests.core.kitti_folder import noise
from tests.syntax import tree_of

DRIVE = "data/kitti_raw_mono/2011_09_26/2011_09_26_drive_9001_sync/image_02/data"


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("monodepth2/images.npz")


@pytest.fixture
def frame(shared, recorded):
    return lambda offset=0, mirrored=False: load_image(
        shared / DRIVE / f"{int(recorded['frame']) + offset:010d}.png", mirrored
    )


def test_pyramid_of_the_target(recorded, frame):
    height, width = recorded["height_width"]
    levels = pyramid(resize(frame(), height, width), [0, 1, 2, 3])
    for scale, image in levels.items():
        np.testing.assert_array_equal(to_array(image), recorded[f"pyramid/target_{scale}"])


@pytest.mark.parametrize("offset", [-1, 1])
def test_pyramid_of_the_sources(recorded, frame, offset):
    height, width = recorded["height_width"]
    levels = pyramid(resize(frame(offset), height, width), [2, 3])
    assert list(levels) == [2, 3]
    for scale, image in levels.items():
        np.testing.assert_array_equal(to_array(image), recorded[f"pyramid/source_{offset}_{scale}"])


def test_large_and_mirrored(recorded, frame):
    np.testing.assert_array_equal(to_array(resize(frame(), 320, 1024)), recorded["large/target_0"])
    levels = pyramid(resize(frame(mirrored=True), *recorded["height_width"]), [1, 2])
    for scale, image in levels.items():
        np.testing.assert_array_equal(to_array(image), recorded[f"flipped/target_{scale}"])


def test_odd_sizes_round_down():
    levels = pyramid(Image.fromarray(noise(44, 84, 0)), [0, 1, 2, 3])
    assert [image.size[::-1] for image in levels.values()] == [(44, 84), (22, 42), (11, 21), (5, 10)]


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        to_array(Image.fromarray(noise(8, 8, 0)))[0, 0] = 0


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_mirrored_is_the_mirrored_native_image(tmp_path, extension):
    path = tmp_path / f"image.{extension}"
    Image.fromarray(noise(32, 64, 1)).save(path)
    plain, mirrored = to_array(load_image(path)), to_array(load_image(path, mirrored=True))
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    assert not np.array_equal(mirrored, plain)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    path = tmp_path / "image.tif"
    image = Image.fromarray(noise(16, 16, 2)).convert(mode)
    image.save(path)
    np.testing.assert_array_equal(to_array(load_image(path)), to_array(image.convert("RGB")))


@pytest.mark.parametrize("extension", ["png", "jpg"])
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9])
def test_truncated_images(tmp_path, extension, share):
    path = tmp_path / f"image.{extension}"
    Image.fromarray(noise(64, 128, 3)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"image\.\w+: damaged or not an image"):
        load_image(path)


def test_other_unusable_files(tmp_path):
    text = tmp_path / "text.png"
    text.write_text("not an image")
    with pytest.raises(UserError, match="damaged or not an image"):
        load_image(text)
    with pytest.raises(UserError, match="damaged or not an image"):
        load_image(tmp_path)
    with pytest.raises(UserError, match=r"absent\.png: no such image; look elsewhere"):
        load_image(tmp_path / "absent.png", cure="look elsewhere")
    deep = tmp_path / "deep.png"
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(deep)
    with pytest.raises(UserError, match="more than 8 bits"):
        load_image(deep)


DEEP = (noise(8, 12, 7).astype(np.uint16) * 16).clip(16)  # of a camera of 12 bits


def write_deep(path, kind):
    """Colours, or colours and opacity, of 16 bits; Pillow opens them as RGB."""
    import cv2

    image = np.dstack([DEEP, DEEP[..., :1]]) if kind == "RGBA" else DEEP
    if kind in ("4095", "4095 behind a comment"):
        note = b"# of 12 bits\n" if "comment" in kind else b""
        path.write_bytes(b"P6\n12 8\n" + note + b"4095\n" + (DEEP & 4095).astype(">u2").tobytes())
    else:
        assert cv2.imwrite(str(path), image)
    assert Image.open(path).mode in ("RGB", "RGBA")
    return path


@pytest.mark.parametrize(
    ("name", "kind", "bits"),
    [
        ("a.png", "RGB", 16),  # G4: 14 was read where 235 is
        ("a.png", "RGBA", 16),
        ("a.tif", "RGB", 16),
        ("a.ppm", "RGB", 16),
        ("a.ppm", "4095", 12),
        ("a.ppm", "4095 behind a comment", 12),
    ],
)
def test_colours_of_more_than_8_bits_are_refused_as_grey_ones(tmp_path, name, kind, bits):
    path = write_deep(tmp_path / name, kind)
    said = rf"a\.\w+: has more than 8 bits a channel \({bits}-bit RGBA?\); convert it to 8-bit RGB"
    with pytest.raises(BadImageError, match=said):
        load_image(path)
    with pytest.raises(BadImageError, match=said):
        image_size(path, is_photo=True)
    with pytest.raises(UserError, match="an image of Pillow: has more than 8 bits"):
        as_images(Image.open(path))
    assert image_size(path) == (8, 12)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm", "a.bmp"])
def test_colours_of_8_bits_and_fewer_are_read(tmp_path, name):
    colours = noise(8, 12, 7)
    Image.fromarray(colours).save(tmp_path / name)
    assert np.array_equal(np.asarray(load_image(tmp_path / name)), colours)
    assert image_size(tmp_path / name, is_photo=True) == (8, 12)
    if name != "a.ppm":
        Image.fromarray(colours).quantize(4).save(tmp_path / name)  # two bits a pixel
        assert np.unique(np.asarray(load_image(tmp_path / name)).reshape(-1, 3), axis=0).shape == (4, 3)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"


def foreign(kind):
    """A whole image of a format that is not read."""
    if kind == "EPS":
        return EPS
    content = io.BytesIO()
    Image.fromarray(noise(16, 16, 4)).save(content, format=kind)
    return content.getvalue()


@pytest.fixture
def no_program(monkeypatch):
    """Whoever starts another program fails the test."""

    def started(*words, **_):
        raise AssertionError(f"started {words}")

    monkeypatch.setattr("subprocess.Popen", started)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", started)


@pytest.mark.parametrize("kind", ["EPS", "GIF", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "DDS"])
def test_only_the_formats_of_the_readme_are_opened(tmp_path, no_program, kind):
    """Under whatever name: a photograph, a data set's image, or depth of 16 bits."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(foreign(kind))
    for read in (load_image, open_image, image_size):
        with pytest.raises(
            UserError, match=r"photo\.jpg: damaged or not an image of a kind that is read \(JPEG, PNG"
        ):
            read(photo)
    depth = photo.rename(tmp_path / "depth.png")
    with pytest.raises(UserError, match=r"depth\.png: damaged or not an image"):
        read_map(depth)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_formats_of_the_readme_are_opened(tmp_path, kind):
    """Also by another format's name, as photographs from elsewhere have it."""
    pixels = noise(16, 24, 5)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", format=kind)
    assert load_image(tmp_path / "photo.jpg").size == (24, 16) and image_size(tmp_path / "photo.jpg") == (
        16,
        24,
    )
    if kind not in ("JPEG", "WEBP"):  # those lose a little
        np.testing.assert_array_equal(to_array(load_image(tmp_path / "photo.jpg")), pixels)


def test_nobody_opens_images_of_all_formats():
    """Every call of Pillow's `open` says which."""
    calls = [
        (path, node)
        for folder in ("core", "backends")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "open"
        and ast.unparse(node.func) == "Image.open"
    ]
    assert len(calls) >= 2
    assert [path for path, node in calls if not any(word.arg == "formats" for word in node.keywords)] == []


def test_photos_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the first row is the right side
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, :2] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    upright = np.asarray(load_image(tmp_path / "photo.png"))
    assert upright.shape == (8, 4, 3)
    assert (upright[:2] == 255).all() and (upright[2:] == 0).all()
