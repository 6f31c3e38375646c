"""EPCDepth's options: the command lines that its users have."""

import pytest

from core.errors import UserError
from core.options.methods.epcdepth import EPCDepthOptions
from core.options.parsing import parse_method


def parse(*argv):
    return parse_method(["--method", "epcdepth", *argv])


def test_defaults_are_the_authors():
    options = parse()
    assert isinstance(options, EPCDepthOptions)
    assert (options.height, options.width, options.batch_size, options.num_epochs) == (320, 1024, 8, 20)
    assert (options.min_depth, options.max_depth, options.disparity_smoothness) == (0.1, 100, 0)
    parts = ("use_full_scale", "use_data_graft", "use_spp_distillate", "use_depth_hints")
    assert not any(getattr(options, name) for name in parts)
    assert (options.padding, options.align_corners, options.graft_groups) == ("zeros", True, "sign")
    assert options.rates(0, 5650) == [1e-4] and options.rates(15 * 5650, 5650) == [pytest.approx(1e-5)]
    assert options.metres_per_unit == pytest.approx(5.4) and options.scaling == "unit"
    (train,) = options.listings("train")
    assert (train.split, train.depth, train.depth_hints) == ("eigen_full", "forward_scan", None)
    needs = options.needs("train")
    assert needs.frames == (0, "s") and needs.side and not needs.augmented_sources and needs.extras == ()
    preparation = options.preparation("train")
    assert (preparation.filter, preparation.augmentation.jitter) == ("lanczos", 0.5)
    assert options.preparation("val").augmentation is None


def test_the_published_command_line():
    options = parse(
        *("--data_path", "kitti", "--pretrained", "--use_depth_hint", "--use_spp_distillate"),
        *("--use_data_graft", "--use_full_scale", "--img_height", "192", "--img_width", "640"),
        *("--epochs", "10", "--models_dir", "models", "--gpu_id", "1", "--val_split", "eigen"),
    )
    assert options.use_depth_hints and options.use_spp_distillate and options.use_data_graft
    assert options.use_full_scale and options.imagenet() == {"encoder": 18}
    assert (options.height, options.width, options.num_epochs) == (192, 640, 10)
    assert (options.log_dir, options.device) == ("models", "cuda:1")
    assert options.needs("train").extras == ("hint",) and options.needs("val").extras == ()
    assert parse("--model_dir", "m", "--use_spp_distillation", "--no_cuda").use_spp_distillate


def test_hints_from_another_folder():
    (listing,) = parse("--use_depth_hints", "--depth_hints", "hints").listings("train")
    assert listing.depth_hints == "hints"


def test_own_stereo_data_has_its_own_unit():
    options = parse("--dataset", "folder", "--split", "own", "--baseline", "0.12")
    assert options.metres_per_unit == pytest.approx(1.2)
    assert options.listings("train")[0].depth is None
    unknown = parse("--dataset", "folder", "--split", "own")
    assert unknown.metres_per_unit is None and unknown.scaling == "median"


def test_presets_and_what_is_given_over_them():
    def switches(options):
        return options.padding, options.align_corners, options.graft_groups

    assert switches(parse("--compatibility", "official")) == ("zeros", True, "side")
    assert switches(parse("--compatibility", "today")) == ("reflect", False, "side")
    given = parse("--compatibility", "today", "--align_corners", "--graft_groups", "sign")
    assert switches(given) == ("reflect", True, "sign")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--val"], "evaluate_depth.py"),
        (["--vis"], "visualize_disparities.py"),
        (["--disps_path", "x"], "--disps_path"),
        (["--val_split", "other"], "eigen_full"),
        (["--gpu_id", "0,1"], "torchrun"),
        (["--frame_ids", "0", "1"], "an option of --method"),
        (["--spp_loss", "-1"], "spp_loss"),
        (["--depth_hints", "x"], "--use_depth_hints"),
        (["--output_scale", "3"], "none of"),
        (["--use_full_scale", "--padding", "reflect", "--height", "128", "--width", "640"], "160"),
    ],
)
def test_what_cannot_be(argv, message):
    with pytest.raises(UserError, match=message):
        parse(*argv)
