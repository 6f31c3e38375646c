"""Neural ray surfaces: a checkpoint of the published kind predicts what is recorded, joined and converted or not."""

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.weights import read_weights_file
from core.weights.families.ray_surface import RayPose
from tests.backends.methods.test_ray_surface_networks import P, state_of
from tests.core.packnet_files import Checkpoint, configuration, node
from tests.tolerances import assert_close

SIZE = {"height": 64, "width": 96}
OUTPUT = (1e-4, 0)


@pytest.fixture(scope="module")
def published(golden, arrays, tmp_path_factory):
    """Both networks, without a template; its configuration says the size."""
    depth = state_of(arrays, golden("ray_surface/names.json"), "ray_surface_resnet_18")
    pose = {name: shape for name, shape in RayPose(18).shapes.items() if ".fc." not in name}
    checkpoint = Checkpoint({"depth": depth, "pose": pose})
    checkpoint.content["config"] = node(configuration(image_shape=(64, 96)))
    return checkpoint.write(tmp_path_factory.mktemp("published") / "omnicam.ckpt")


def points_of(predictor, arrays):
    """Rays over disparity of the recorded image."""
    image = arrays.smooth(f"{P}/network_image", (2, 3, 64, 96), (16, 24), 0, 1)
    found = predictor._predicted(np.ascontiguousarray(image.transpose(0, 2, 3, 1)).astype(np.float32), {})
    return found["rays"] / found["disparity"], found


def test_a_checkpoint_predicts_what_is_recorded(backend, golden, arrays, published, tmp_path):
    """With a template that is given; and after going through our files, which keep the progress."""
    recorded = golden("ray_surface/networks.npz")
    Predictor = backend.module("predictor").Predictor
    predictor = Predictor(published, "cpu", template=["dummy"])
    assert (predictor.height, predictor.width, predictor.has_rays) == (64, 96, True)
    points, found = points_of(predictor, arrays)
    wanted = recorded["ray_surface_resnet_18/evaluation_points"]
    assert_close(points[..., ::2, ::2], wanted, OUTPUT)
    checkpoint = backend.module("checkpoint")
    predictor.method.progress = 0.0625
    checkpoint.save_networks({"depth": predictor.method.depth}, tmp_path, predictor.method.scalars())
    again = Predictor(tmp_path, "cpu")
    assert again.method.progress == 0.0625
    np.testing.assert_array_equal(points_of(again, arrays)[1]["disparity"], found["disparity"])
    bare = Predictor(tmp_path, "cpu", ray_coefficient=0.0)
    rays = points_of(bare, arrays)[1]["rays"]
    assert_close(rays[:1], backend.array(bare.method.depth.ray_template), (1e-6, 0))
    with pytest.raises(UserError, match="rays of their own"):
        Predictor(tmp_path, "cpu", template=["dummy"])


def test_without_a_template_one_is_asked_for(backend, published):
    with pytest.raises(UserError, match="--template is missing"):
        backend.module("predictor").Predictor(published, "cpu")


def test_joined_with_its_template(backend, published, tmp_path):
    """What --joined writes holds the template among the tensors, and comes back."""
    if backend.name != "torch":
        pytest.skip(".pth files are PyTorch's")
    predictor = backend.module("predictor").Predictor(published, "cpu", template=["dummy"])
    predictor.pose_frames()
    (tmp_path / "run").mkdir()
    networks = predictor.method.networks()
    backend.module("checkpoint").save_networks(networks, tmp_path / "run", predictor.method.scalars())
    target = tmp_path / "joined.ckpt"
    words = [tmp_path / "run", "--to", "torch", "--joined", target]
    convert_weights.main([str(word) for word in words])
    state = read_weights_file(target)
    assert state["model.depth_net.ray_template"].shape == (1, 3, 64, 96)
    assert backend.module("predictor").Predictor(target, "cpu").method.progress == 1.0
