"""Files of rays: what is read, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from core.cameras.models import ImagePlane, Limited, Pinhole
from core.cameras.templates import angles_between, load_template, read_template, write_template
from core.errors import UserError
from tests.tolerances import assert_close

HEIGHT, WIDTH = 48, 64
CAMERA = Pinhole(ImagePlane(40.0, 41.0, 31.5, 23.5))
RAYS = CAMERA.rays(HEIGHT, WIDTH)[0]


def saved(path: Path, rays: np.ndarray, **more: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, rays)
    else:
        np.savez(path, rays=rays, **more)
    return path


@pytest.mark.parametrize("name", ["rays.npy", "rays.npz"])
@pytest.mark.parametrize(
    ("rays", "said"),
    [
        (RAYS[None].astype(np.float32), 0),
        (RAYS[None], 0),
        (RAYS, 0),
        (np.asfortranarray(RAYS), 0),
        (np.moveaxis(RAYS, 0, -1), 1),
        (np.moveaxis(RAYS, 0, -1)[None], 1),
    ],
    ids=["published", "float64", "plain", "columns first", "channels last", "channels last of a batch"],
)
def test_shapes_and_types(name: str, rays: np.ndarray, said: int, tmp_path: Path) -> None:
    template = read_template(saved(tmp_path / name, rays), HEIGHT, WIDTH)
    assert template.rays.dtype == np.float32 and template.valid is None
    assert np.array_equal(template.rays, RAYS.astype(np.float32))
    assert len(template.notes) == said and all("HxWx3" in note for note in template.notes)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rays, valid = Limited(CAMERA, 0.1, 0.8).rays(HEIGHT, WIDTH)
    write_template(tmp_path / "rays.npz", rays, valid)
    template = read_template(tmp_path / "rays.npz", HEIGHT, WIDTH)
    assert np.array_equal(template.rays, rays.astype(np.float32))
    assert template.valid is not None and np.array_equal(template.valid, valid) and not valid.all()
    write_template(tmp_path / "rays.npy", rays, valid)
    assert np.load(tmp_path / "rays.npy", allow_pickle=False).shape == (1, 3, HEIGHT, WIDTH)
    assert np.array_equal(read_template(tmp_path / "rays.npy", HEIGHT, WIDTH).rays, template.rays)


def test_lengths_stay_and_are_said(tmp_path: Path) -> None:
    template = read_template(saved(tmp_path / "rays.npy", RAYS * 1.5), HEIGHT, WIDTH)
    assert_close(template.rays, RAYS * 1.5, "formula")
    assert "0.5" in template.notes[0] and "length 1" in template.notes[0]
    assert not read_template(saved(tmp_path / "rays.npy", RAYS * 1.0005), HEIGHT, WIDTH).notes


def scrambled() -> np.ndarray:
    """(H W, 3) reshaped to (3, H, W), as somebody once did."""
    return np.moveaxis(RAYS, 0, -1).reshape(3, HEIGHT, WIDTH)


def one_bad(value: float) -> np.ndarray:
    rays = RAYS.copy()
    rays[:, 5, 7] = value
    return rays


@pytest.mark.parametrize(
    ("rays", "words"),
    [
        (RAYS[:, :, :32], "32x48.*64x48.*--resize_template"),
        (scrambled(), "degrees apart.*transposed"),
        (one_bad(np.nan), "1 rays are not finite"),
        (one_bad(np.inf), "1 rays are not finite"),
        (one_bad(1e30), "1 rays are not finite"),
        (one_bad(0.0), "1 rays have the length 0"),
        (np.rint(RAYS).astype(np.int64), "floating"),
        (RAYS.reshape(3, -1).T, "shape 3072x3"),
        (np.stack([RAYS, RAYS]), "shape 2x3x48x64"),
        (np.array(1.0), "a single number"),
        (np.array([RAYS, None], dtype=object), "not a readable"),
    ],
    ids=["size", "scrambled", "nan", "infinite", "huge", "zero", "integers", "flat", "batch", "number", "objects"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["rays.npy", "rays.npz"])
def test_refused(name: str, rays: np.ndarray, words: str, tmp_path: Path) -> None:
    path = saved(tmp_path / name, rays)
    with pytest.raises(UserError, match=words) as caught:
        read_template(path, HEIGHT, WIDTH)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_scrambled_file_is_refused_by_20_pi_over_the_width(tmp_path: Path) -> None:
    """Coarse but ordered rays pass: a fisheye of few pixels has up to π / W from one to the next."""
    angle = np.broadcast_to(np.linspace(-np.pi, np.pi, 8), (4, 8))
    rays = np.stack([np.sin(angle), angle * 0, np.cos(angle)])
    assert read_template(saved(tmp_path / "rays.npy", rays), 4, 8).valid is None


@pytest.mark.parametrize(
    ("valid", "words"),
    [
        (np.zeros((HEIGHT, WIDTH), bool), "False everywhere"),
        (np.ones((WIDTH, HEIGHT - 1), bool), "64x47"),
        (np.full((HEIGHT, WIDTH), "x"), "of bool"),
    ],
)
def test_masks_refused(valid: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        read_template(saved(tmp_path / "rays.npz", RAYS, valid=valid), HEIGHT, WIDTH)


def test_what_nobody_sees_may_be_anything(tmp_path: Path) -> None:
    valid = np.ones((1, 1, HEIGHT, WIDTH), np.uint8)
    valid[..., 5, 7] = 0
    template = read_template(saved(tmp_path / "rays.npz", one_bad(np.nan), valid=valid), HEIGHT, WIDTH)
    assert (
        template.valid is not None and not template.valid[5, 7] and template.valid.sum() == HEIGHT * WIDTH - 1
    )
    near = template.rays[:, 4:7, 6:9].reshape(3, 9).T
    assert (template.rays[:, 5, 7] == np.delete(near, 4, 0)).all(1).any()


def test_absent_empty_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "other.npz", depth=RAYS)
    (tmp_path / "rays.txt").write_text("1 2 3")
    for name, words in (
        ("no.npy", "no such file of rays"),
        ("empty.npz", "empty.npz"),
        ("other.npz", "depth"),
        ("rays.txt", ".npz"),
    ):
        with pytest.raises(UserError, match=words):
            read_template(tmp_path / name, HEIGHT, WIDTH)


@pytest.mark.parametrize("size", [(24, 32), (96, 160), (30, 50)])
def test_resizing_is_that_of_the_image(size: tuple[int, int], tmp_path: Path) -> None:
    """A resized camera, whose rays are exact; between pixel centres a chord differs a little from the arc."""
    template = read_template(saved(tmp_path / "rays.npy", RAYS * 2), *size, resize=True)
    exact = CAMERA.resized(size[1] / WIDTH, size[0] / HEIGHT).rays(*size)[0]
    off = angles_between(template.rays.astype(np.float64), exact)[2:-2, 2:-2]
    assert np.degrees(off.max()) < 0.02
    assert_close(np.linalg.norm(template.rays, axis=0), np.ones(size), "formula")


def test_a_resized_mask_keeps_only_whole_pixels(tmp_path: Path) -> None:
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:, :7] = False
    template = read_template(saved(tmp_path / "rays.npz", RAYS, valid=valid), 24, 32, resize=True)
    assert template.valid is not None
    assert not template.valid[:, :4].any() and template.valid[:, 4:].all()


def test_templates_by_name() -> None:
    rays = load_template(["dummy"], HEIGHT, WIDTH).rays
    assert_close(rays[:, 24, 32], np.array([0, 0, 1.0]), "formula")
    template = load_template(["pinhole", "40", "41", "31.5", "23.5"], HEIGHT, WIDTH)
    assert np.array_equal(template.rays, RAYS.astype(np.float32)) and template.valid is None
    mirror = load_template(["unified", "60", "60", "31.5", "23.5", "1.6"], HEIGHT, 200)
    assert mirror.valid is not None and 0 < mirror.valid.mean() < 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fisheye"], "fisheye"),
        (["fisheye", "1"], "no camera model"),
        (["pinhole", "40"], "fx fy cx cy"),
        (["pinhole", "40", "41", "x", "23"], "fx fy cx cy"),
        (["pinhole", "0.5", "0.6", "0.5", "0.5"], "in pixels"),
        (["pinhole", "nan", "0.6", "0.5", "0.5"], "not finite"),
        (["unified", "40", "41", "31", "23", "-1"], "xi"),
        (["dummy", "1"], "numbers none"),
    ],
)
def test_templates_refused_by_name(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_template(words, HEIGHT, WIDTH)
