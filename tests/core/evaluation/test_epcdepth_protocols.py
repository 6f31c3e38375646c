"""EPCDepth's protocols, saved disparities and pictures: recorded numbers, made files, mistakes of users."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import backends
import core.weights.zoo
import evaluate_depth
import visualize_disparities
from core.datasets.ground_truth import SparseDepth, save_ground_truth
from core.datasets.layouts.nyu_h5 import NyuSamples, cut, read_depth
from core.disparity import blend_mirrored, disparity_to_depth, sigmoid_to_disparity
from core.errors import UserError
from core.evaluation.comparison import Known, Scaling, resized_truth
from core.evaluation.depth import evaluate_depth as evaluate
from core.evaluation.resizing import resize
from core.files.colour import magma_map
from core.options import EvaluationOptions
from core.options.needs import Needs, Preparation
from core.options.parsing import parse
from core.options.protocols import EIGHT, PROTOCOLS, SEVEN
from core.weights.folder import model_options
from tests.core.nyu_h5_folder import SIZE, given_disparities, write_h5, write_real
from tests.scripts import assert_says, refused, succeeds
from tests.tolerances import assert_close

FRAMEWORKS = ("torch", "paddle")
METRES = Scaling("unit", 5.4)


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Any]) -> Any:
    return golden("epcdepth/evaluation.npz")


@pytest.fixture(scope="module")
def truths(recorded: Any) -> list[np.ndarray]:
    """Of two images of KITTI, the first of another size than the second."""
    maps = []
    for name, shape in (("native", tuple(recorded["metrics/native_size"])), ("second", (375, 1242))):
        depth = np.zeros(shape, np.float32)
        place = recorded[f"metrics/{name}_rows"], recorded[f"metrics/{name}_columns"]
        depth[place] = recorded[f"metrics/{name}_values"]
        maps.append(depth)
    return maps


# ---- recorded ------------------------------------------------------------------------------------------------------


def test_recorded_resizing_of_the_truth(recorded: Any, truths: list[np.ndarray]) -> None:
    sizes = [name.split("/")[1] for name in recorded.files if name.endswith("/columns") and "resize" in name]
    assert len(sizes) == 5
    for size in sizes:
        height, width = map(int, size.split("x"))
        rows = resize(np.tile(np.arange(height)[:, None], (1, width)), 375, 1242, "nearest_centres")
        columns = resize(np.tile(np.arange(width), (height, 1)), 375, 1242, "nearest_centres")
        assert np.array_equal(rows[:, 0], recorded[f"resize/{size}/rows"])
        assert np.array_equal(columns[0], recorded[f"resize/{size}/columns"])
    resized = resized_truth(Known.of(truths[0]), PROTOCOLS["epcdepth_eigen"].rule, (1, 1))
    found = [resized.index.size, resized.values.sum(dtype=np.float64)]
    assert_close(np.array(found), recorded["metrics/ground_truth_summary"], (1e-9, 0.0))


def test_recorded_blend(recorded: Any) -> None:
    mirrored = recorded["post_process/disparity_of_flipped_image"][..., ::-1]
    fused = blend_mirrored(recorded["post_process/disparity"], mirrored)
    assert fused.dtype == np.float64
    assert_close(fused, recorded["post_process/fused"], (0.0, 1e-7))
    ones = blend_mirrored(np.ones((1, 41)), np.zeros((1, 41)))
    assert_close(ones[0], recorded["post_process/ones_and_zeros_41"], (0.0, 1e-7))


def test_recorded_mapping(recorded: Any) -> None:
    for farthest in (100, 10):
        disparity = sigmoid_to_disparity(recorded["mapping/sigmoid"], 0.1, farthest)
        assert_close(disparity, recorded[f"mapping/disparity_{farthest}"], (1e-6, 0.0))
        assert_close(disparity_to_depth(disparity), recorded[f"mapping/depth_{farthest}"], (1e-6, 0.0))


@pytest.mark.parametrize(("variant", "name"), [("post_processed", "fused"), ("single", "disparity")])
def test_recorded_images_of_kitti(recorded: Any, truths: list[np.ndarray], variant: str, name: str) -> None:
    disparity, protocol = recorded[f"post_process/{name}"], PROTOCOLS["epcdepth_eigen"]
    assert recorded["metrics/columns"].tolist() == list(protocol.rule.metrics)
    found = evaluate(disparity, truths, protocol, METRES)
    assert_close(found.mean, recorded[f"metrics/{variant}"], (1e-5, 0.0))
    assert_close(found.per_image, recorded[f"metrics/{variant}_per_image"], (1e-5, 0.0))
    scaled = evaluate(disparity, truths, protocol, Scaling("median"))
    assert_close(scaled.mean, recorded[f"metrics/{variant}_median_scaled"], (1e-5, 0.0))


def test_recorded_image_at_its_own_size(recorded: Any, truths: list[np.ndarray]) -> None:
    disparity = recorded["post_process/fused"][:1]
    found = evaluate(disparity, truths[:1], PROTOCOLS["epcdepth_eigen_native"], METRES)
    assert_close(found.mean, recorded["metrics/native_size_without_resizing"], (1e-5, 0.0))


@pytest.mark.parametrize("post_process", [False, True])
def test_recorded_images_of_nyu(
    golden: Callable[[str], Any], arrays: ModuleType, shared: Path, tmp_path: Path, post_process: bool
) -> None:
    """The real sample as the files come, through the script; and the images that the network sees."""
    numbers = golden("epcdepth/nyuv2.npz")
    files = write_real(tmp_path, shared, numbers)
    np.save(tmp_path / "d.npy", given_disparities(arrays, post_process))
    words = ["--data_path", str(tmp_path), "--ext_disp_to_eval", str(tmp_path / "d.npy")]
    evaluate_depth.main([*NYU, *words, "--output", str(tmp_path / "m.json")])
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["names"] == list(EIGHT) and content["lines"] == ["00001", "00002"]
    columns = [content["names"].index(name) for name in numbers["columns"]]
    kind = f"given_{'post_processed' if post_process else 'single'}"
    for number in range(2):
        found, expected = np.array(content["per_image"][number]), f"sample_{number}/{kind}"
        assert_close(found[columns], numbers[f"{expected}/metrics"], (1e-5, 0.0))
        assert content["scale_ratios"][number] == pytest.approx(float(numbers[f"{expected}/ratio"]), rel=1e-5)
    subject = PROTOCOLS["epcdepth_nyu"].subject
    whole = NyuSamples(files, subject, Preparation(427, 561))[0, 0]["image_0_0"]
    assert_close(whole[::4], numbers["sample_0/rgb_cropped_rows_every_4"], "exact")
    for number, path in enumerate(files):
        expected = numbers[f"sample_{number}/depth_millimetres"].astype(np.float32) / np.float32(1000)
        assert_close(cut(read_depth(path), subject), expected, "exact")
    samples = NyuSamples(files, subject, Preparation(288, 384))
    assert_close(samples[0, 0]["image_0_0"], numbers["sample_0/rgb_resized"], "exact")
    assert_close(samples[0, 1]["image_0_0"][::4, ::4], numbers["sample_1/rgb_resized_stride4"], "exact")


def test_recorded_colours(recorded: Any) -> None:
    disparity = recorded["post_process/fused"][0]
    limits = np.array([disparity.min(), np.percentile(disparity, 95)])
    assert_close(limits, recorded["visualisation/vmin_vmax"], (1e-6, 0.0))
    painted = magma_map(disparity)
    assert_close(painted[::2, ::2], recorded["visualisation/first_stride2"], "exact")
    assert not magma_map(np.array([[np.nan, 1.0], [2.0, np.inf]]))[[0, 1], [0, 1]].any()
    assert len(np.unique(magma_map(np.full((3, 4), 0.5)).reshape(-1, 3), axis=0)) == 1


# ---- saved disparities ---------------------------------------------------------------------------------------------

LINES = ["2011_09_26/2011_09_26_drive_0001_sync 1 l", "2011_09_26/2011_09_26_drive_0001_sync 2 l"]
NYU = ["--protocol", "epcdepth_nyu", "--eval_mono"]
EIGEN = ["--protocol", "epcdepth_eigen", "--eval_stereo"]


@pytest.fixture
def saved(tmp_path: Path, recorded: Any, truths: list[np.ndarray]) -> list[str]:
    """Words that evaluate disparities of two images as their authors save them."""
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "test_files.txt").write_text("\n".join(LINES))
    maps = [SparseDepth.from_dense(depth, line) for depth, line in zip(truths, LINES, strict=True)]
    save_ground_truth(tmp_path / "split" / "gt_depths_forward_scan.npz", maps)
    np.save(tmp_path / "disparities.npy", recorded["post_process/fused"])
    where = ["--eval_split", str(tmp_path / "split"), "--output", str(tmp_path / "m.json")]
    return [*EIGEN, *where, "--ext_disp_to_eval", str(tmp_path / "disparities.npy")]


def test_a_saved_file_gives_the_recorded_numbers(saved: list[str], tmp_path: Path, recorded: Any) -> None:
    printed = succeeds("evaluate_depth.py", *saved, here=True)
    assert_says(printed, "protocol epcdepth_eigen | split", "no median scaling, depth x 5.4 | 2 images")
    content = json.loads((tmp_path / "m.json").read_text())
    found = np.array([content["mean"][name] for name in SEVEN])
    assert_close(found, recorded["metrics/post_processed"], (1e-5, 0.0))


def test_other_truth_is_not_taken(saved: list[str], tmp_path: Path) -> None:
    """A list's usual file may hold annotated depth; whoever names it means it."""
    split = tmp_path / "split"
    (split / "gt_depths_forward_scan.npz").rename(split / "gt_depths.npz")
    message = refused("evaluate_depth.py", *saved, folder=tmp_path, here=True)
    assert_says(message, "gt_depths_forward_scan.npz: no such ground truth", "--source forward_scan")
    assert_says(message, f"export_gt_depth.py --data_path kitti_data --split {split}")
    evaluate_depth.main([*saved, "--ground_truth", str(split / "gt_depths.npz")])


def test_pictures_of_a_saved_file(recorded: Any, tmp_path: Path) -> None:
    """Without a network and without data."""
    np.save(tmp_path / "d.npy", recorded["post_process/fused"])
    printed = succeeds("visualize_disparities.py", tmp_path / "d.npy", here=True, without=FRAMEWORKS)
    assert printed == f"2 pictures in {tmp_path / 'disps_vis'}\n"
    assert sorted(path.name for path in (tmp_path / "disps_vis").iterdir()) == ["disp0.png", "disp1.png"]
    first = np.asarray(Image.open(tmp_path / "disps_vis" / "disp0.png"))
    assert_close(first[::2, ::2], recorded["visualisation/first_stride2"], "exact")
    visualize_disparities.main([str(tmp_path / "d.npy"), "--output", str(tmp_path / "a" / "b")])
    assert (tmp_path / "a" / "b" / "disp1.png").is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((2, 3)), "expected one array (images, height, width)"),
        (np.zeros((2, 0, 3)), "expected one array (images, height, width)"),
        (np.full((1, 2, 3), "a"), "expected one array (images, height, width)"),
        (np.array([None, 1], object), "not a readable .npy file"),
        (None, "no such file"),
    ],
    ids=["a map", "empty", "words", "objects", "absent"],
)
def test_files_of_something_else(content: np.ndarray | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        np.save(tmp_path / "d.npy", content)
    said = refused("visualize_disparities.py", tmp_path / "d.npy", folder=tmp_path, here=True)
    assert_says(said, tmp_path / "d.npy", message)


def test_nowhere_to_write(tmp_path: Path, recorded: Any) -> None:
    np.save(tmp_path / "d.npy", recorded["post_process/fused"])
    words = [tmp_path / "d.npy", "--output", tmp_path / "d.npy" / "a"]
    assert "option output: " in refused("visualize_disparities.py", *words, folder=tmp_path, here=True)
    assert "DISPARITIES is missing" in refused("visualize_disparities.py", folder=tmp_path, here=True)


# ---- NYU's files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    """Three made files, whose depth beyond the crop is wrong, with what else such files hold."""
    rng = np.random.default_rng(0)
    for number in range(3):
        depth = np.full(SIZE, 9.0, np.float32)
        depth[44:471, 40:601] = 2 + number
        depth[50:60] = [0, np.nan, -1][number]
        rgb = np.full((*SIZE, 3), 10 * (2 + number), np.uint8)
        write_h5(tmp_path / "nyu_test" / f"{number:05d}.h5", rgb, depth, norm=rng.normal(size=(3, 4, 5)))
    return tmp_path


class Fake:
    """A predictor whose depth follows the brightness of the images."""

    def __init__(self, **options: Any) -> None:
        self.options = SimpleNamespace(
            **options,
            stereo_scale_factor=5.4,
            is_metric=True,
            needs=lambda part: Needs(),
            preparation=lambda part: Preparation(options["height"], options["width"]),
        )

    def disparity(self, images: np.ndarray, post_process: bool) -> np.ndarray:
        assert images.shape[1:] == (self.options.height, self.options.width, 3)
        disparity = 1 / (images[..., 0].astype(np.float32) * 3)
        return disparity.astype(np.float64) if post_process else disparity


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Whatever weights are asked for are the fake's; what the predictor was asked with."""
    asked: list[dict[str, Any]] = []

    def predictor(folder: str, device: str, preferred: dict[str, Any], **more: Any) -> Fake:
        asked.append({"preferred": preferred, **more})
        return Fake(**(preferred or {"height": 32, "width": 64, "max_depth": 100.0}))

    monkeypatch.setattr(backends, "load_backend", lambda *_: SimpleNamespace(Predictor=predictor))
    monkeypatch.setattr(core.weights.zoo, "with_weights", lambda options: options)
    return asked


def test_nyu_by_a_network(nyu: Path, fake: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    """Its size and range are the protocol's, unless given; disparities and pictures are saved."""
    words = [*NYU, "--data_path", str(nyu), "--load_weights_folder", "w", "--num_workers", "0"]
    results = [
        "--disps_path",
        str(nyu / "a" / "d"),
        "--pictures",
        str(nyu / "p"),
        "--output",
        str(nyu / "m.json"),
    ]
    evaluate_depth.main([*words, *results, "--post_process"])
    said = capsys.readouterr()
    assert_says(said.out, "network: height 288, width 384, max_depth 10.0, as epcdepth_nyu has it")
    assert_says(said.out, "crop 44:471, 40:601 | cap 10 m", "median scaling | 3 images")
    assert "3 images; the test set that numbers are published of has 654" in said.err
    assert fake[0]["preferred"] == {"height": 288, "width": 384, "max_depth": 10.0} and not fake[0]["untold"]
    content = json.loads((nyu / "m.json").read_text())
    assert content["mean"]["abs_rel"] < 1e-6 and content["mean"]["log10"] < 1e-6
    assert content["valid_pixels"] == [417 * 561] * 3
    disparities = np.load(nyu / "a" / "d" / "disparities.npy")
    assert disparities.shape == (3, 288, 384) and disparities.dtype == np.float64
    names = sorted(path.relative_to(nyu / "p").as_posix() for path in (nyu / "p").rglob("*.png"))
    assert names == [f"disp{i}.png" for i in range(3)] + [f"ground-truth/gt{i}.png" for i in range(3)]
    assert np.asarray(Image.open(nyu / "p" / "disp0.png")).shape == (288, 384, 3)
    truth = np.asarray(Image.open(nyu / "p" / "ground-truth" / "gt0.png"))
    assert truth.shape == (427, 561, 3) and not truth[6:16].any() and truth.any()
    given = [
        "--height",
        "96",
        "--width",
        "128",
        "--max_depth",
        "20",
        "--no_eval",
        "--pictures",
        str(nyu / "q"),
    ]
    evaluate_depth.main([*words, *given])
    assert fake[1]["preferred"] == {"height": 96, "width": 128, "max_depth": 20.0}


def test_other_subjects_leave_the_network_as_it_is(saved: list[str], fake: list[dict[str, Any]]) -> None:
    options = parse(EvaluationOptions, ["--load_weights_folder", "w", "--eval_mono", "--height", "64"])
    assert options.network == {}
    backends.load_predictor(options)
    assert fake[0]["untold"] == {"height": 64, "width": None} and fake[0]["preferred"] == {}


def test_a_method_without_such_an_option_keeps_its_own(tmp_path: Path) -> None:
    """Its depth has no range that could be told; what the user gives is refused."""
    (tmp_path / "options.yaml").write_text("method: sc_depth\nheight: 256\nwidth: 832\n")
    preferred = {"height": 288, "width": 384, "max_depth": 10.0}
    options = model_options(tmp_path, {}, {}, None, preferred)
    assert (options.height, options.width) == (288, 384)
    with pytest.raises(UserError, match=r"--max_depth: .* is a model of sc_depth, which has no such option"):
        model_options(tmp_path, {}, {"max_depth": 10.0}, None, preferred)
    (tmp_path / "options.yaml").write_text("height: 192\nwidth: 640\n")
    chosen = model_options(tmp_path, {}, {"max_depth": 20.0}, None, preferred)
    assert (chosen.height, chosen.width, chosen.max_depth) == (288, 384, 20.0)  # type: ignore[attr-defined]


def compressed(path: Path) -> None:
    with h5py.File(path, "a") as file:
        depth = file["depth"][()]
        del file["depth"]
        file.create_dataset("depth", data=depth, compression="gzip")


def linked(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["depth"]
        file["depth"] = h5py.ExternalLink("secret.h5", "/depth")


def with_depth(values: np.ndarray) -> Callable[[Path], Any]:
    return lambda path: write_h5(path, np.zeros((*SIZE, 3), np.uint8), values)


def without_depth(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["depth"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            compressed,
            "'depth' is compressed or filtered; copy it again; a compressed one is read after h5repack",
        ),
        (linked, "'depth' is a link to somewhere else"),
        (without_depth, "holds no 'depth'"),
        (
            with_depth(np.ones((4, 5), np.float32)),
            "depth is float32 of shape (4, 5), expected metres (480, 640)",
        ),
        (with_depth(np.ones(SIZE, np.uint16)), "depth is uint16 of shape (480, 640), expected metres"),
        (lambda path: path.write_bytes(b"no file"), "not a readable HDF5 file of an image and its depth"),
        (
            lambda path: path.write_bytes(bytes(65 << 20)),
            "is larger than an image and its depth can be, 64 MiB",
        ),
    ],
    ids=["compressed", "link", "no depth", "shape", "integers", "damaged", "huge"],
)
def test_files_that_are_none_of_nyu(nyu: Path, harm: Callable[[Path], Any], message: str) -> None:
    harm(nyu / "nyu_test" / "00000.h5")
    np.save(nyu / "d.npy", np.ones((3, 4, 5)))
    words = [*NYU, "--data_path", nyu / "nyu_test", "--ext_disp_to_eval", nyu / "d.npy"]
    with pytest.raises(UserError) as error:
        evaluate_depth.main([str(word) for word in words])
    assert_says(str(error.value), nyu / "nyu_test" / "00000.h5", message)


def test_an_image_that_is_none_of_nyu(nyu: Path) -> None:
    file = write_h5(nyu / "a.h5", np.zeros((4, 5, 3), np.uint8), np.ones(SIZE))
    samples = NyuSamples([file], PROTOCOLS["epcdepth_nyu"].subject, Preparation(32, 32))
    with pytest.raises(UserError, match=r"a\.h5: rgb is uint8 of shape \(3, 4, 5\)"):
        _ = samples[0, 0]
    assert samples.describe(0) == str(file)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data_path", "absent"], "absent: no such folder; --data_path must hold nyu_test/*.h5"),
        (["--data_path", "empty"], "empty: no *.h5 in it"),
        (["--png"], "option png: epcdepth_nyu reads the .h5 files in --data_path"),
        (["--eval_split", "eigen"], "epcdepth_nyu has no list; leave out --eval_split eigen"),
        (["--ext_disp_to_eval", "a.npy", "--disps_path", "a"], "option disps_path: makes no sense with"),
        (["--load_weights_folder", "w", "--disps_path", "file"], "option disps_path: file: is no folder"),
        (["--load_weights_folder", "w", "--pictures", "file/a"], "option pictures: file: is no folder"),
        (
            ["--load_weights_folder", "w", "--no_eval"],
            "without --save_pred_disps, --disps_path or --pictures",
        ),
    ],
)
def test_options_that_do_not_fit(more: list[str], message: str, tmp_path: Path) -> None:
    """Said before any network runs; nothing is made."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    own = (
        [] if {"--load_weights_folder", "--ext_disp_to_eval"} & set(more) else ["--ext_disp_to_eval", "d.npy"]
    )
    said = refused("evaluate_depth.py", *NYU, *own, *more, folder=tmp_path, here=True)
    assert_says(said.replace(f"{tmp_path}/", ""), message)
