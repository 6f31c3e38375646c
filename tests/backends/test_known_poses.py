"""Training with known poses: what warps, and a model that knows metres, from train.py to predict.py."""

import json

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
import train
from core.datasets.kitti import annotated_depth_path, image_path
from core.datasets.sample import collate
from core.datasets.splits import load_split
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_options
from tests.backends.drive import HEIGHT, WIDTH, training, weights_of
from tests.backends.test_monodepth2 import collate as noise_batch
from tests.backends.test_monodepth2 import make
from tests.core.samples import open_lines
from tests.scripts import assert_says, succeeds
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("narrow")

# ---- the method ----------------------------------------------------------------------------------------------


def test_there_is_no_pose_network(backend):
    method = make(backend, known_poses=True)
    assert list(method.networks()) == ["encoder", "depth"]
    assert method.poses({}, {}) == {}
    with pytest.raises(UserError, match="a model trained with known poses cannot tell the camera's motion"):
        method.T_sources_target([])


def test_a_known_motion_warps_as_the_same_motion_predicted(backend):
    """Losses and maps of equal transforms are equal, for each source its own."""
    known, predicting = make(backend, known_poses=True, use_stereo=True), make(backend, use_stereo=True)
    known.eval(), predicting.eval()
    rng, arrays, poses = np.random.default_rng(1), noise_batch(known.options), {}
    for frame in (-1, 1):
        axisangle, translation = (
            backend.tensor(rng.uniform(-0.1, 0.1, (2, 3)).astype(np.float32)) for _ in range(2)
        )
        poses[frame] = backend.module("methods.monodepth2").Pose(axisangle, translation, invert=False)
        arrays[f"T_{frame}"] = backend.array(poses[frame].transform())
    batch = backend.batch(arrays, "float32")
    with backend.no_gradients():
        sigmoids = known.depth(known.encoder(batch["augmented_0"]))
        found = known.synthesis_losses(batch, sigmoids, {}, None)
        expected = predicting.synthesis_losses(batch, sigmoids, poses, None)
        terms, maps = found.terms, found.maps
        expected_terms, expected_maps = expected.terms, expected.maps
    for found, expected in ((terms, expected_terms), (maps, expected_maps)):
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            assert_close(backend.array(tensor), backend.array(expected[name]), label=name)


@pytest.mark.parametrize("mirrored", [False, True])
def test_exact_depth_rebuilds_the_target(backend, drive, mirrored):
    """Images, packets and calibration of the rendered drive through reader and loss, with the true depth as sigmoid."""
    lines = load_split(drive / "splits", "train")[:1]
    options = Monodepth2Options(
        height=HEIGHT, width=WIDTH, scales=[0], use_stereo=True, known_poses=True, weights_init="scratch"
    )
    size = {"height": HEIGHT, "width": WIDTH}
    dataset = open_lines("kitti", drive, lines, frames=options.frames, **size, augment=True)
    dataset.know_poses(5.4, None)
    epoch = next(e for e in range(50) if dataset.augmentation((e, 0)).mirrored == mirrored)
    sample = dataset[epoch, 0]
    path = annotated_depth_path(drive, lines[0].folder, lines[0].frame, lines[0].camera)
    depth = np.asarray(Image.open(path)).astype(np.float32)[:, :: -1 if mirrored else 1] / 256 / 5.4
    known = depth > 0
    disparity = 1 / np.where(known, depth, 100)
    sigmoid = (disparity - 1 / options.max_depth) / (1 / options.min_depth - 1 / options.max_depth)

    method = backend.module("methods.monodepth2").Monodepth2(options)
    method.eval()
    target = sample["image_0_0"].transpose(2, 0, 1) / 255

    def errors(sample) -> dict[str, float]:
        """Mean |rebuilt − target| by source."""
        batch = backend.batch(collate([sample]), "float32")
        with backend.no_gradients():
            tensor = backend.tensor(sigmoid[None, None].astype(np.float32))
            maps = method.synthesis_losses(batch, {0: tensor}, {}, None).maps
        views = {frame: backend.array(maps[f"warped_{frame}_0"])[0] for frame in method.sources}
        return {frame: np.abs(view - target)[:, known].mean() for frame, view in views.items()}

    found = errors(sample)
    motions = {key: T for key, T in sample.items() if key.startswith("T_")}
    assert set(motions) == {"T_-1", "T_1", "T_stereo"}
    still = errors(sample | {key: np.eye(4, dtype=np.float32) for key in motions})
    backwards = errors(sample | {key: np.linalg.inv(T) for key, T in motions.items()})
    for frame, error in found.items():
        assert error < 0.07 and error < 0.75 * still[frame] and error < 0.6 * backwards[frame], frame


# ---- the scripts ---------------------------------------------------------------------------------------------


def test_a_model_that_knows_metres(backend, drive, runs, tmp_path):
    """Trained on video and oxts alone; continued, asked for metres, evaluated in metres, asked for poses."""
    words = training(backend.name, drive, runs, "known", "mono", "--known_poses", "--scales", 0)
    printed = succeeds("train.py", *words, here=True)
    assert_says(printed, "4 training and 2 validation samples, 2 steps")
    weights, extension = weights_of(runs, "known"), backend.module("checkpoint").EXTENSION
    assert sorted(file.name for file in weights.glob(f"*{extension}")) == [
        f"depth{extension}",
        f"encoder{extension}",
    ]
    options = load_options(Monodepth2Options, weights / "options.yaml")
    assert options.known_poses and not options.use_stereo and options.stereo_scale_factor == 5.4

    train.main([*words, "--num_epochs", "2", "--resume"])
    assert (weights.parent / "weights_1" / f"depth{extension}").is_file()
    with pytest.raises(UserError, match=r"changed: known_poses False \(was True\)"):
        train.main([word for word in words if word != "--known_poses"] + ["--resume"])

    line = load_split(drive / "splits", "test")[0]
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(image_path(drive, line.folder, line.frame, 2, ".jpg").read_bytes())
    where = ["--backend", backend.name, "--device", "cpu", "--load_weights_folder", str(weights)]
    predict.main([*where, "--image_path", str(photo), "--save", "depth", "--pred_metric_depth"])
    predictor = backend.module("predictor").Predictor(weights, "cpu")
    image = np.asarray(Image.open(photo))
    with np.load(tmp_path / "photo_depth.npz") as file:
        assert str(file["unit"]) == "metres" and file["scale_factor"] == 5.4
        assert_close(file["depth"], 5.4 / predictor.disparity(image)[0], (1e-5, 0))

    data = ["--data_path", str(drive), "--eval_split", str(drive / "splits"), "--output"]
    metrics = {}
    for kind, more in {
        "metres": ["--eval_stereo"],
        "by hand": ["--eval_mono", "--disable_median_scaling", "--pred_depth_scale_factor", "5.4"],
    }.items():
        evaluate_depth.main([*where, *data, str(tmp_path / "metrics.json"), *more])
        metrics[kind] = json.loads((tmp_path / "metrics.json").read_text())["mean"]
    assert metrics["metres"] == metrics["by hand"]
    with pytest.raises(UserError, match="a model trained with known poses cannot tell the camera's motion"):
        predictor.poses([image, image])
