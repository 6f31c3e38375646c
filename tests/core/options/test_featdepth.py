"""FeatDepth's options: its four models, what they need, and the command lines that its users have."""

import pytest

from core.errors import UserError
from core.options.methods.featdepth import FeatDepthOptions
from core.options.parsing import load_options, parse_method, save_options


def parse(*argv):
    return parse_method(["--method", "featdepth", *argv])


def test_defaults_are_the_authors():
    options = parse()
    assert isinstance(options, FeatDepthOptions) and options.model == "mono_fm"
    assert (options.height, options.width, options.batch_size, options.num_epochs) == (320, 1024, 2, 40)
    assert (options.num_layers, options.feature_layers, options.pose_layers) == (50, 50, 18)
    assert (options.min_depth, options.max_depth, options.pose_size) == (0.1, 100, [192, 640])
    assert (options.perception_weight, options.smoothness_weight, options.dis, options.cvt) == (1e-3,) * 4
    assert (options.seed, options.gradient_clip, options.optimizer) == (1024, 35, "adam")
    assert not (options.cumulative_target_resize or options.jitter_per_frame)
    assert options.grid_align_corners and options.extractor_batch_statistics
    (listing,) = options.listings("train")
    assert (listing.split, listing.drop_incomplete) == ("eigen_zhou", True)
    preparation = options.preparation("train")
    policy = preparation.augmentation
    assert (preparation.filter, policy.mirroring, policy.jitter, policy.per_frame) == (
        "lanczos",
        0.5,
        0.5,
        False,
    )
    assert options.preparation("val").augmentation is None


def test_networks_of_each_model():
    pose = ("encoder", "depth", "pose_encoder", "pose")
    assert parse().parts == (*pose, "extractor")
    assert parse("--model", "mono_fm_joint").parts == (*pose, "image_encoder", "image_decoder")
    assert parse("--model", "baseline").parts == pose
    assert parse("--model", "autoencoder").parts == ("image_encoder", "image_decoder")
    stereo_only = parse("--frame_ids", "0", "--use_stereo", "--train_extractor")
    assert stereo_only.parts == ("encoder", "depth", "extractor")


def test_the_autoencoder_has_one_view_as_it_is():
    options = parse("--model", "autoencoder", "--frame_ids", "0")
    needs = options.needs("train")
    assert (needs.frames, needs.augmented) == ((0,), False) and options.metres_per_unit is None
    assert options.preparation("train").augmentation.jitter == 0
    depth = parse().needs("train")
    assert depth.frames == (0, -1, 1) and depth.plain and depth.augmented and depth.augmented_sources
    assert not parse().needs("val").augmented


def test_the_rate_rises_from_a_third_and_is_halved(golden):
    options = parse()
    recorded = golden("featdepth/evaluation.npz")["learning_rate_warmup"]
    assert [options.rates(step, 10_000)[0] for step in (0, 1, 100, 250, 499, 500)] == pytest.approx(recorded)
    assert [options.rates(1000 * epoch, 1000)[0] for epoch in (1, 19, 20, 30)] == pytest.approx(
        [1e-4, 1e-4, 5e-5, 2.5e-5]
    )
    assert parse("--warmup_steps", "0").rates(0, 10) == [1e-4]


def test_stereo_has_its_own_switches_and_unit(tmp_path):
    video, stereo = parse(), parse("--use_stereo")
    assert (video.masks, video.normalises, video.metres_per_unit, video.scaling) == (
        True,
        True,
        None,
        "median",
    )
    assert (stereo.masks, stereo.normalises, stereo.scaling) == (False, False, "unit")
    assert stereo.metres_per_unit == video.stereo_scale_factor == pytest.approx(36)
    assert stereo.needs("train").baseline == 0.015 and stereo.frames == [0, -1, 1, "s"]
    given = parse("--use_stereo", "--automask", "--disp_norm")
    assert given.masks and given.normalises
    assert not (parse("--no_automask").masks or parse("--no_disp_norm").normalises)
    save_options(given, tmp_path / "given.yaml")
    save_options(video, tmp_path / "video.yaml")
    assert load_options(FeatDepthOptions, tmp_path / "given.yaml") == given
    assert load_options(FeatDepthOptions, tmp_path / "video.yaml") == video
    own = ("--dataset", "folder", "--split", "own", "--use_stereo")
    assert parse(*own).metres_per_unit is None
    euroc = parse(*own, "--baseline", "0.11", "--stereo_baseline", "0.1")
    assert euroc.metres_per_unit == pytest.approx(1.1) and euroc.needs("train").baseline == 0.1


def test_where_the_extractor_comes_from():
    with pytest.raises(UserError, match="--extractor FOLDER, or --train_extractor"):
        parse().starts()
    options = parse("--extractor", "runs/autoencoder")
    assert options.starts() == {"extractor": ("runs/autoencoder", "image_encoder")}
    assert parse("--train_extractor").starts() == {} and parse("--perception_weight", "0").starts() == {}
    whole = parse("--load_weights_folder", "w").starts()
    assert whole["extractor"] == ("w", "extractor") and whole["depth"] == ("w", "depth")
    with pytest.raises(UserError, match="--extractor"):
        parse("--load_weights_folder", "w", "--models_to_load", "encoder", "depth").starts()
    both = parse("--load_weights_folder", "w", "--extractor", "a").starts()
    assert both["extractor"] == ("a", "image_encoder")


def test_imagenet_weights_of_what_learns():
    assert parse("--train_extractor").imagenet() == {"encoder": 50, "pose_encoder": 18, "extractor": 50}
    autoencoder = parse("--model", "autoencoder", "--extractor_layers", "34")
    assert autoencoder.imagenet() == {"image_encoder": 34}
    assert parse("--weights_init", "scratch").imagenet() == {}


def test_the_authors_words():
    options = parse(
        *("--depth_num_layers", "18", "--pose_num_layers", "34", "--extractor_num_layers", "18"),
        *("--extractor_pretrained_path", "a.pth", "--imgs_per_gpu", "4", "--total_epochs", "9"),
        *("--resume_from", "epoch_3.pth"),
    )
    assert (options.num_layers, options.pose_layers, options.feature_layers) == (18, 34, 18)
    assert (options.extractor, options.batch_size, options.num_epochs) == ("a.pth", 4, 9)
    assert (options.load_weights_folder, options.start_epoch) == ("epoch_3.pth", -1)
    assert parse("--model", "baseline", "--disparity_smoothness", "0.01").smoothness_weight == 0.01


def test_presets_and_what_is_given_over_them():
    official = parse("--compatibility", "official")
    assert official.cumulative_target_resize and official.jitter_per_frame and official.grid_align_corners
    (listing,), (usual,) = official.listings("train"), parse().listings("train")
    assert (listing.drop_incomplete, listing.repeat_target) == (False, True)
    assert (usual.drop_incomplete, usual.repeat_target) == (True, False)
    assert official.preparation("train").augmentation.per_frame
    today = parse("--compatibility", "today", "--no_jitter_per_frame")
    assert not (today.grid_align_corners or today.jitter_per_frame)


def test_the_validation_list_has_its_own_truth():
    options = parse("--validation_split", "own/val", "--ground_truth", "gt_depths.npz")
    assert (options.listings("val")[0].split, options.listings("val")[0].ground_truth) == (
        "own/val",
        "gt_depths.npz",
    )
    assert (options.listings("train")[0].split, options.listings("train")[0].ground_truth) == (
        "eigen_zhou",
        None,
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--frame_ids", "0"], "no source view.* or use_stereo"),
        (["--extractor", "a", "--train_extractor"], "leave out one of the two"),
        (["--model", "baseline", "--extractor", "a"], "has no extractor"),
        (["--model", "autoencoder", "--train_extractor"], "has no extractor"),
        (["--model", "autoencoder", "--height", "64", "--width", "96"], "96 or more"),
        (["--model", "mono_fm_joint", "--height", "96", "--width", "64"], "96 or more"),
        (["--height", "32"], "height"),
        (["--num_layers", "152"], "none of"),
        (["--pose_size", "192"], "pose_size"),
        (["--gradient_clip", "0"], "gradient_clip"),
        (["--milestones", "0"], "milestones"),
        (["--dropout", "1"], "dropout"),
        (["--stereo_baseline", "0"], "stereo_baseline"),
        (["--cvt", "-1"], "cvt"),
        (["--known_poses"], "an option of --method"),
    ],
)
def test_what_cannot_be(argv, message):
    with pytest.raises(UserError, match=message):
        parse(*argv)
