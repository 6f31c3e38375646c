"""PackNet's options: the settings of its configuration, and what cannot be."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.options.methods.packnet import PackNetOptions
from core.options.needs import Listing
from core.options.parsing import load_options, parse_method, save_options
from core.options.protocols import PROTOCOLS

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def parse(*argv):
    return parse_method(["--method", "packnet", *argv])


def test_defaults_are_the_published_recipe():
    options = parse()
    assert isinstance(options, PackNetOptions)
    assert (options.height, options.width, options.batch_size, options.num_epochs) == (192, 640, 4, 50)
    assert options.widths == ((64, 64, 64, 128, 256, 512), 8) and options.concatenate
    assert options.rates(0, 10) == [2e-4, 2e-4] and options.rates(300, 10) == [1e-4, 1e-4]
    assert options.metres_per_unit is None and options.scaling == "median"
    assert options.imagenet() == {} and options.flip_probability == 0.5
    needs = options.needs("train")
    assert needs.frames == (0, -1, 1) and needs.augmented_sources and not (needs.motion or needs.depth)
    assert options.needs("val").frames == (0,)
    policy = options.preparation("train").augmentation
    assert (policy.mirroring, policy.jitter, policy.hue) == (0, 1, (-0.05, 0.05))
    assert policy.brightness == (0.8, 1.2) and policy.channels == (1, 1)
    assert options.preparation("val").augmentation is None
    assert options.preparation("train").scale_K and not options.preparation("val").scale_K
    expected = Listing("kitti", "kitti_data", "eigen_zhou", calibration=True, drop_incomplete=True)
    assert options.listings("train") == [expected]


@pytest.mark.parametrize(
    ("argv", "frames", "motion", "depth", "rates"),
    [
        (["velocity"], (0, -1, 1), True, False, 2),
        (["semi"], (0, -1, 1), False, True, 2),
        (["semi", "--supervised_loss_weight", "1"], (0,), False, True, 1),
        (["full"], (0,), False, True, 1),
    ],
)
def test_what_teaches(argv, frames, motion, depth, rates):
    options = parse("--supervision", *argv)
    needs = options.needs("train")
    assert (needs.frames, needs.motion, needs.depth) == (frames, motion, depth)
    assert len(options.rates(0, 10)) == rates
    assert options.metres_per_unit == options.stereo_scale_factor == 1 and options.scaling == "unit"
    assert not options.needs("val").motion and not options.needs("val").depth


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["semi", "--supervised_method", "sparse-berhu"], ("supervised",)),
        (["full", "--supervised_method", "berhu"], ("supervised",)),
        (["semi", "--supervised_method", "sparse-silog"], ()),
        (["velocity", "--supervised_method", "berhu"], ()),  # no term of measured depth
    ],
)
def test_terms_that_jump(argv, found):
    """Only berHu has a threshold at which its sum is not continuous: see test_packnet_losses.py."""
    assert parse("--supervision", *argv).jumping_terms == found


def test_settings_of_the_authors():
    options = parse(
        *("--image_shape", "(384,", "640)", "--max_epochs", "10", "--lr", "9e-5", "--step_size", "20"),
        *("--rotation_mode", "euler", "--resume", "old.ckpt", "--jittering", "0.1", "0.2", "0.3", "0", "0.4"),
        *("--crop_train_borders", "-352", "0", "0.5", "1216", "--depth_network", "packnet_slim01"),
    )
    assert (options.height, options.width, options.num_epochs, options.start_epoch) == (384, 640, 10, -1)
    assert options.load_weights_folder == "old.ckpt"
    assert options.rates(200, 10) == [pytest.approx(4.5e-5)] * 2
    preparation = options.preparation("train")
    assert preparation.border_crop == (-352, 0, 0.5, 1216) and preparation.mirror == "edges"
    assert preparation.augmentation.channels == pytest.approx((0.6, 1.4))
    assert options.preparation("val").border_crop == ()
    assert options.widths == ((32, 32, 64, 128, 256, 512), 4)
    assert parse("--jittering", "none").preparation("train").augmentation.jitter == 0
    assert parse("--no_mirroring").flip_probability == 0


def test_several_lists(tmp_path):
    """What is said once counts for all; what is saved is read again."""
    options = parse(
        *("--train_split", "a", "b", "--train_path", "root", "--repeat", "2", "1"),
        *("--train_dataset", "kitti", "folder", "--depth_type", "groundtruth", "none"),
        *("--validation_split", "c", "d", "--validation_path", "x", "y"),
    )
    assert options.listings("train") == [
        Listing(
            "kitti",
            "root",
            "a",
            depth="proj_depth/groundtruth",
            repeat=2,
            calibration=True,
            drop_incomplete=True,
        ),
        Listing("folder", "root", "b", drop_incomplete=True),
    ]
    found = [(one.path, one.split, one.repeat) for one in options.listings("val")]
    assert found == [("x", "c", 1), ("y", "d", 1)]
    save_options(options, tmp_path / "options.yaml")
    assert load_options(PackNetOptions, tmp_path / "options.yaml") == options


def test_where_networks_start():
    options = parse(
        "--load_weights_folder", "all", "--pose_weights_folder", "own", "--pose_network", "pose_resnet18"
    )
    assert options.starts() == {"depth": ("all", "depth"), "pose": ("own", "pose")}
    assert options.imagenet() == {"pose": 18}
    assert parse("--depth_network", "depth_resnet50", "--weights_init", "scratch").imagenet() == {}
    assert parse("--pose_weights_folder", "own").starts() == {"pose": ("own", "pose")}


def test_the_best_by_photometric_loss():
    options = parse("--validation_mode", "photo")
    assert options.needs("val").frames == (0, -1, 1) and options.needs("val").truth == ""
    assert options.criterion({"photometric": 0.1, "de/abs_rel": 1}) == ("photometric", 0.1)
    with pytest.raises(UserError, match="validation_mode"):
        options.criterion({"loss": 1})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--depth_network", "packnet_slim01", "--version", "1B"], "--version 1A"),
        (["--version", "1C"], "version"),
        (["--depth_network", "packnet_slim01", "--width_divisor", "4"], "8 channels"),
        (["--width_divisor", "3"], "none of"),
        (["--depth_network", "depth_resnet18", "--width_divisor", "2"], "only for PackNet"),
        (["--depth_network", "depth_resnet18", "--dropout", "0.1"], "only for PackNet"),
        (["--dropout", "1"], "dropout"),
        (["--supervision", "semi", "--supervised_loss_weight", "0"], "--supervision none"),
        (["--supervision", "full", "--supervised_method", "silog"], "use sparse-silog"),
        (["--supervision", "full", "--validation_mode", "photo"], "use depth"),
        (["--ssim_loss_weight", "1.5"], "ssim_loss_weight"),
        (["--clip_loss", "-1"], "clip_loss"),
        (["--scheduler_gamma", "0"], "scheduler_gamma"),
        (["--scheduler_step_size", "0"], "scheduler_step_size"),
        (["--pose_learning_rate", "0"], "pose_learning_rate"),
        (["--jittering", "0.1", "0.2"], "jittering"),
        (["--jittering", "0.1", "0.1", "0.1", "0.6"], "hue"),
        (["--crop_eval_borders", "1", "2", "3"], "crop_eval_borders"),
        (["--train_split", "a", "b", "--repeat", "1", "2", "3"], "several lists"),
        (["--repeat", "0"], "repeat"),
        (["--occ_reg_weight", "0.1"], "no effect"),
        (["--rotation_mode", "quaternion"], "not euler"),
        (["--image_shape", "192"], "a height and a width"),
        (["--frame_ids", "0"], "no source view"),
    ],
)
def test_what_cannot_be(argv, message):
    with pytest.raises(UserError, match=message):
        parse(*argv)


@pytest.mark.parametrize(
    ("supervision", "scaling"), [("none", "median"), ("velocity", "unit"), ("semi", "unit"), ("full", "unit")]
)
def test_validations_measure_by_the_own_protocol(supervision, scaling):
    """abs_rel of `_pp_gt` where nothing measured teaches, else of `_pp`."""
    options = PackNetOptions(supervision=supervision)
    assert options.protocol == "packnet" and options.blended_validation and options.scaling == scaling
    assert not PackNetOptions(validation_mode="photo").blended_validation


def test_the_published_recipe_on_ddad():
    """In the numbers of the paper's configuration; SC-Depth's file for its own folders has another data set's name."""
    options = parse("--config", str(CONFIGS / "packnet" / "ddad.yml"))
    assert (options.height, options.width, options.batch_size, options.repeat) == (384, 640, 2, [5])
    assert options.rates(0, 10) == [9e-5, 9e-5] and options.rates(300, 10) == [4.5e-5, 4.5e-5]
    (train,), (val,) = options.listings("train"), options.listings("val")
    assert (train.dataset, train.camera, train.repeat) == ("ddad", "camera_01", 5)
    assert (val.dataset, val.camera, val.depth) == ("ddad", "camera_01", None)
    subject = PROTOCOLS[options.protocol].subject
    assert (subject.cap, subject.crop.name, subject.list) == (200, "none", "val")
    theirs = parse_method(["--config", str(CONFIGS / "sc_depth" / "ddad.yml")])
    assert theirs.dataset == "scenes" and theirs.protocol == "sc_depth_ddad"
