"""SC-Depth's options: the command lines and files that users of the two programs have."""

import pytest

from core.errors import UserError
from core.options.methods.sc_depth import SCDepthOptions
from core.options.parsing import parse_method


def parse(*argv):
    return parse_method(["--method", "sc_depth", *argv])


def test_defaults_are_the_official_ones():
    options = parse()
    assert isinstance(options, SCDepthOptions)
    assert (options.height, options.width, options.batch_size) == (256, 832, 4)
    assert (options.photometric_weight, options.geometry_weight, options.smoothness_weight) == (1, 0.1, 0.1)
    assert (options.num_epochs, options.order().steps, options.order().replacement) == (100, 1000, True)
    assert options.rates(0, 1000) == options.rates(99999, 1000) == [1e-4, 1e-4]
    assert options.imagenet() == {"encoder": 18, "pose_encoder": 18}
    train, val = options.preparation("train"), options.preparation("val")
    assert (train.filter, train.mirror, train.zoom) == ("float_bilinear", "edges", 1.15)
    assert train.augmentation.jitter == 0 and train.augmentation.mirroring == 0.5
    assert val.zoom == 1 and val.augmentation is None
    assert options.needs("train").frames == (0, -1, 1) and options.needs("val").frames == (0,)
    assert parse("--val_mode", "photo").needs("val").frames == (0, -1, 1)


@pytest.mark.parametrize("words", [["[-1,1]"], ["-1", "1"], ["[-1,", "1]"]])
def test_the_command_line_of_the_program_for_kitti(words):
    """As its README prints it, and as it must be typed to get as far as it goes."""
    options = parse(
        *("--kitti_dir", "kitti", "--train_split", "splits/eigen_zhou/train_files.txt"),
        *("--val_split", "splits/eigen/test_files.txt", "--gt_path", "gt_depths.npz"),
        *("--depth_encode", "resnet50", "--pose_encode", "resnet34", "--depth_encode_pretrained", "False"),
        *("--ref_ids", *words, "--photo_weight", "1.0", "--geometry_weight", "0.1", "--smooth_weight", "0.2"),
        *("--lr", "1e-4", "--epochs", "200", "--epoch_size", "500", "--cuda", "False", "--val_mode", "depth"),
    )
    assert (options.num_layers, options.pose_layers, options.frames) == (50, 34, [0, -1, 1])
    assert options.imagenet() == {"pose_encoder": 34}
    assert (options.device, options.num_epochs, options.order().steps) == ("cpu", 200, 500)
    assert options.smoothness_weight == 0.2
    (train,), (val,) = options.listings("train"), options.listings("val")
    assert (train.split, train.ground_truth) == ("splits/eigen_zhou/train_files.txt", None)
    assert (val.split, val.ground_truth) == ("splits/eigen/test_files.txt", "gt_depths.npz")


@pytest.mark.parametrize(
    ("argv", "device"),
    [
        (["--cuda", "False", "--devices", "0"], "cpu"),
        (["--devices", "1", "--cuda", "False"], "cpu"),
        (["--cuda", "True", "--devices", "1"], "cuda:1"),
        (["--cuda", "True"], "auto"),
    ],
)
def test_no_cuda_is_no_cuda(argv, device):
    assert parse(*argv).device == device


def test_each_encoder_starts_as_it_is_told():
    """Whatever stands first, and wherever."""
    both = ["--pose_encode_pretrained", "False", "--depth_encode_pretrained", "False"]
    assert parse(*both).imagenet() == {} == parse(*both[2:], *both[:2]).imagenet()
    assert parse(*both[:2]).imagenet() == {"encoder": 18}
    assert parse(*both[2:]).imagenet() == {"pose_encoder": 18}
    assert parse("--pretrained", "False", "--pose_weights_init", "pretrained").imagenet() == {
        "pose_encoder": 18
    }


def test_names_of_the_specification():
    options = parse("--depth_encoder", "resnet34", "--pose_encoder", "resnet50", "--sources", "-2", "2")
    assert (options.num_layers, options.pose_layers, options.frames) == (34, 50, [0, -2, 2])
    assert parse("--checkpoint", "folder").load_weights_folder == "folder"


def test_a_file_of_the_official_program(tmp_path):
    file = tmp_path / "nyu.txt"
    file.write_text(
        "method = sc_depth\nmodel_version = v1\ndataset_name = nyu\ndataset_dir = /data/nyu\nsequence_length = 5\n"
        "skip_frames = 10\nresnet_layers = 18\nlr = 1e-4\nbatch_size = 8\nepoch_size = 1000\nnum_epochs = 100\n"
        "photo_weight = 1.0\ngeometry_weight = 0.1\nsmooth_weight = 0.1\nval_mode = depth\nno_ssim\n"
        "no_dynamic_mask = true\nno_min_optimize = true\nexp_name = mine\n"
    )
    options = parse_method(["--config", str(file), "--width", "352"])
    assert (options.dataset, options.scenes, options.data_path) == ("scenes", "nyu", "/data/nyu")
    assert (options.height, options.width, options.batch_size) == (256, 352, 8)
    assert options.frames == [0, -20, -10, 10, 20]
    assert not (options.ssim or options.self_discovered_mask or options.minimum) and options.auto_mask
    assert (options.model_name, options.protocol) == ("mine", "sc_depth_nyu")


def test_scenes_are_measured_by_their_own_rules():
    assert parse("--dataset_name", "kitti").protocol == "sc_depth"
    assert (
        parse("--dataset_name", "bonn", "--protocol", "sc_depth_official_script_bonn").protocol[-4:] == "bonn"
    )
    for words in (["--scenes", "nyu"], ["--scenes", "nyu", "--compatibility", "release2021"]):
        with pytest.raises(
            UserError, match=r"has the crop and cap of KITTI, .*; use --protocol sc_depth_nyu"
        ):
            parse("--dataset", "scenes", *words)


@pytest.mark.parametrize(
    "argv", [["--no_ssim"], ["--no_auto_mask"], ["--no_dynamic_mask"], ["--no_min_optimize"]]
)
def test_the_official_flags(argv):
    options = parse(*argv)
    assert [options.ssim, options.auto_mask, options.self_discovered_mask, options.minimum].count(False) == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--rot_t_weight", "1"], "belongs to versions 2 and 3"),
        (["--normal_rank_weight=1"], "belongs to versions 2 and 3"),
        (["--model_version", "v3"], "is not v1"),
        (
            ["--depth_encode", "resnext50_32x4d"],
            "option --depth_encode: 'resnext50_32x4d' is none of resnet18",
        ),
        (["--depth_encode"], "option --depth_encode: '' is not one word"),
        (["--dataset_name", "nyu", "tum"], "option --dataset_name: 'nyu tum' is not one word"),
        (["--ref_ids", "-1", "one"], "option --ref_ids: 'one' is no whole number"),
        (["--sequence_length", "4"], "'4' is no odd number from 3"),
        (["--ref_ids"], "no source view: add frames to frame_ids (such as 0 -1 1)"),
        (
            ["--train_split", "train.txt"],
            "would be validated on as well; name another one by --validation_split",
        ),
        (["--sequence_length"], "option --sequence_length: '' is not one word"),
        (["--sequence_length", "999999"], "is no odd number from 3 to 99"),
        (["--cuda", "maybe"], "'maybe' is neither True nor False"),
        (["--devices", "0", "1"], "a process each"),
        (["--dataset_name", "cityscapes"], "'cityscapes' is none of kitti"),
        (["--val_mode", "photo", "--gt_path", "gt.npz"], "only for --validation_mode depth"),
        (["--val_mode", "photo", "--photo_weight", "0"], "leaves --validation_mode photo nothing to compare"),
        (["--use_frame_index"], "only for --dataset scenes"),
        (["--calibration", "--dataset", "folder"], "only for KITTI"),
        (["--frame_step", "0"], "option frame_step: 0 is too small"),
        (["--geometry_weight", "-1"], "must not be negative"),
        (["--photo_weight", "0", "--geometry_weight", "0", "--smooth_weight", "0"], "there is no loss"),
        (["--use_stereo"], "an option of --method"),
    ],
)
def test_what_cannot_be(argv, message):
    with pytest.raises(UserError) as caught:
        parse(*argv)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert "or use_stereo" not in str(caught.value)  # which this method has not


def test_presets_and_what_is_given_over_them():
    assert parse("--compatibility", "official").behind_camera == "keep"
    old = parse("--compatibility", "release2021", "--geometry_weight", "0.1")
    assert (old.behind_camera, old.outside, old.detach_mask, old.geometry_weight) == (
        "clamp",
        "far",
        False,
        0.1,
    )
    seed = parse("--compatibility", "seed")
    assert (seed.reverse_pair, seed.preparation("val").filter, seed.num_epochs) == ("depth", "bilinear", 200)
    assert (seed.projection_epsilon, seed.difference_epsilon, seed.depth_range_mask) == (1e-6, 1e-6, True)


def test_the_best_checkpoint():
    values = {"de/abs_rel": 0.2, "photometric": 0.5, "loss": 1.0}
    assert parse().criterion(values) == ("de/abs_rel", 0.2)
    assert parse("--val_mode", "photo").criterion(values) == ("photometric", 0.5)
    with pytest.raises(UserError, match="validation_mode"):
        parse().criterion({"loss": 1.0})
