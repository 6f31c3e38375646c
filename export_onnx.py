"""The depth network of a weights folder as an ONNX file of a fixed size, compared with the framework's own numbers."""

import os
from pathlib import Path

from core.errors import UserError, run
from core.options import OnnxOptions
from core.options.choices import choices, with_choices
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, exports, compares, writes."""
    options = parse(with_choices(OnnxOptions), argv, __doc__ or "")
    from backends import BACKENDS, load_backend
    from core.datasets.input_depth import INPUT_DEPTH, require_input_depth
    from core.files.inputs import require_no_input
    from core.files.whole import write_atomically
    from core.prediction import onnx_file
    from core.weights.zoo import with_weights

    assert options.load_weights_folder is not None  # validated by the parser
    onnx_file.require_packages(options.backend)
    require_no_input(options, "output")
    os.environ.setdefault("GLOG_minloglevel", "2")  # PaddlePaddle warns of every graph that it makes
    options = with_weights(options)
    predictor = load_backend(options.backend, "predictor").Predictor(
        options.load_weights_folder,
        "cpu",
        height=options.height,
        width=options.width,
        min_depth=options.min_depth,
        max_depth=options.max_depth,
        **choices(options),
    )
    size = (options.batch_size, predictor.height, predictor.width)
    inputs = {}
    if options.with_input_depth:
        require_input_depth(
            predictor.method.inputs, str(predictor.folder), predictor.options.method, "--with_input_depth"
        )
        inputs = {INPUT_DEPTH: onnx_file.fixed_depth(*size)}
    content = load_backend(options.backend, "export").to_onnx(predictor.method, *size, tuple(inputs))
    properties = onnx_file.properties(predictor.options, str(predictor.folder.resolve()), tuple(inputs))
    model = onnx_file.finish(content, properties)
    content = model.SerializeToString()
    images = onnx_file.fixed_images(*size)
    expected = predictor.disparity(images, inputs=inputs)
    difference = onnx_file.largest_difference(content, images, expected, inputs)
    bound = f"of the largest value, bound {onnx_file.BOUND:.0e}"
    compared = f"onnxruntime differs from {BACKENDS[options.backend]} by {difference:.1e} {bound}"
    if not difference <= onnx_file.BOUND:  # nor is what is no number
        raise UserError(
            f"{options.output}: not written, {compared}; install the versions of requirements-onnx.txt"
        )
    write_atomically(Path(options.output), lambda path: path.write_bytes(content))
    (batch, *sides), (_, *own) = size, expected.shape
    image, disparity = ", ".join(map(str, sides)), ", ".join(map(str, own))
    more = "".join(f", {name} ({batch}, 1, {image})" for name in inputs)
    print(f"{options.output}: image ({batch}, 3, {image}){more} → disparity ({batch}, 1, {disparity})")
    print(f"depth = {float(properties['scale_factor']):g} / disparity, {properties['unit']}")
    print(f"operators of opset {onnx_file.OPSET}: {', '.join(onnx_file.operators(model))}")
    print(compared)


if __name__ == "__main__":
    run(main)
