"""Options of neural ray surfaces: schedules, what is refused, the YAML of the published program."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.options.methods.ray_surface import RaySurfaceOptions
from core.options.parsing import parse_method
from tests.tolerances import assert_close

ROOT = Path(__file__).resolve().parents[3]
OMNICAM = """
arch:
    max_epochs: 50
checkpoint:
    filepath: runs
model:
    name: 'GenericSelfSupModel'
    optimizer:
        name: 'Adam'
        depth: {lr: 0.0002}
        pose: {lr: 0.0002}
    scheduler: {name: 'StepLR', step_size: 30, gamma: 0.5}
    depth_net: {name: 'RaySurfaceResNet', version: '18pt'}
    pose_net: {name: 'PoseResNet', version: '18pt'}
    params: {crop: 'garg', min_depth: 0.0, max_depth: 80.0}
datasets:
    augmentation:
        image_shape: (384, 384)
    train:
        batch_size: 1
        dataset: ['Image']
        path: ['omnicam']
        split: ['{:09}']
        depth_type: ['']
        repeat: [2]
    validation:
        dataset: ['KITTI']
        path: ['KITTI_tiny']
        split: ['kitti_tiny.txt']
        depth_type: ['velodyne']
"""


def parse(*words: str) -> RaySurfaceOptions:
    options = parse_method(["--method", "ray_surface", *words])
    assert isinstance(options, RaySurfaceOptions)
    return options


def test_the_yaml_of_the_published_program(tmp_path: Path, capsys) -> None:
    """Its recipe is ours, which has the template on the command line."""
    (tmp_path / "train_omnicam.yaml").write_text(OMNICAM)
    theirs = parse_method(["--config", str(tmp_path / "train_omnicam.yaml"), "--template", "dummy"])
    ours = parse_method(["--config", str(ROOT / "configs/ray_surface/omnicam.yml"), "--template", "dummy"])
    said = capsys.readouterr().err
    assert "flip_lr_prob: a mirrored image" in said and "of another camera" in said
    for options in (theirs, ours):
        options.data_path, options.model_name, options.log_dir = "omnicam", "run", "runs"
        options.num_workers = options.seed = 0
    ours.protocol = theirs.protocol
    assert theirs == ours


def test_how_much_counts_of_what_is_found() -> None:
    published = RaySurfaceOptions()
    assert_close(
        [published.coefficient(p) for p in (0, 0.02, 0.1, 0.3163)], [0, 0.0252, 0.2154, 1], (1e-3, 0)
    )
    linear = RaySurfaceOptions(ray_ramp="linear", ray_ramp_epochs=10)
    assert_close([linear.coefficient(p) for p in (0, 0.1, 0.2, 1)], [0, 0.5, 1, 1], (1e-12, 0))
    assert RaySurfaceOptions(ray_coefficient=0.25).coefficient(0) == 0.25
    assert RaySurfaceOptions(learn_rays=False).coefficient(1) == 0


def test_temperatures() -> None:
    assert_close(
        RaySurfaceOptions(temperature_progress="fraction").temperature(1.0, 0.01), 0.9048e-4, (1e-4, 0)
    )
    assert_close(RaySurfaceOptions(temperature_progress="percent").temperature(1.0, 0.01), 1e-8, (1e-4, 0))
    spaced = RaySurfaceOptions()
    assert spaced.temperature(0.5, 0.02) == pytest.approx((0.6 * 0.02) ** 2)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--mirroring",), "option mirroring: a mirrored image"),
        (("--flip_lr_prob", "0.5"), "flip_lr_prob"),
        (("--no_upsample_depth_maps",), "full size"),
        (("--template", "pinhole", "1", "2"), "option template: pinhole has the numbers"),
        (("--ray_coefficient", "2"), "is not from 0 to 1"),
        (("--no_learn_rays", "--ray_coefficient", "0.5"), "leave out one"),
        (("--no_learn_rays", "--ray_residual", "shared"), "leave out one"),
        (("--known_poses", "--frame_ids", "0"), "no motion to know|no source view"),
        (("--start_temperature", "0"), "above 0"),
        (("--patch_side", "0"), "too small"),
    ],
)
def test_impossible_values(words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        parse(*words)


def test_what_samples_are() -> None:
    """Without intrinsics, never mirrored."""
    options = parse("--template", "dummy")
    assert not options.needs("train").intrinsics
    policy = options.preparation("train").augmentation
    assert policy is not None and policy.mirroring == 0
