"""Range and rays of predictions beside those of a rendered drive: a table, the angles between rays, and a picture."""

from pathlib import Path

from core.errors import UserError, run
from core.options import RayEvaluationOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, compares, writes `rays.md`, `rays.json` and `rays.png`."""
    options = parse(RayEvaluationOptions, argv, __doc__ or "")
    import numpy as np

    from core.cameras.templates import load_template, read_rays
    from core.evaluation import rays
    from core.evaluation.depth import counted
    from core.evaluation.report import table
    from core.files.arrays import write_json
    from core.files.images import load_image, resize_array, to_array, write_image
    from core.files.inputs import find_images
    from core.files.whole import write_text

    assert options.truth is not None and options.rays is not None  # validated by the parser
    truths, true_rays = rays.read_truths(Path(options.truth)), read_rays(Path(options.rays))
    size = true_rays.rays.shape[1:]
    if any(truth.shape != size for truth in truths.values()):
        raise UserError(
            f"{options.rays}: rays are of {size[1]}x{size[0]}, the range maps are not; give those of the drive"
        )
    seen = np.ones(size, bool) if true_rays.valid is None else true_rays.valid
    template = load_template(options.template, *size) if options.template else None
    found = {}
    for entry in options.predictions:
        name, _, folder = entry.partition("=")
        found[name] = rays.read_predictions(Path(folder), truths)
    metrics = {}
    known = list(truths.values())
    if options.training is not None:
        for name, guess in rays.range_yardsticks(
            list(rays.read_truths(Path(options.training)).values())
        ).items():
            metrics[name] = rays.range_metrics([guess] * len(known), known, seen, options.depth_cap)
    for name, predictions in found.items():
        distances = [one.distance for one in predictions.values()]
        metrics[name] = rays.range_metrics(distances, known, seen, options.depth_cap)
    errors = rays.ray_rows(found, template, true_rays)
    spreads = {name: rays.spread_of(predictions, true_rays.valid) for name, predictions in found.items()}
    pixels = np.array([int(rays.compared(truth, seen, options.depth_cap).sum()) for truth in known])
    text = f"Range, scaled by medians, up to {options.depth_cap:g} m, {len(truths)} images.\n\n{table(metrics)}\n\n"
    text += f"{counted(pixels).strip()}\n\n"
    text += f"Rays, aligned.\n\n{rays.ray_table(errors, spreads)}\n"
    last = list(found)[-1]
    chosen = list(truths)[:: max(1, len(truths) // options.rows)][: options.rows]
    images = (
        {path.stem: path for path in find_images(options.images, ["jpg", "png"])} if options.images else {}
    )
    shown = [
        resize_array(to_array(load_image(images[name])), *size)
        if name in images
        else np.zeros((*size, 3), np.uint8)
        for name in chosen
    ]
    picture = rays.range_picture(
        shown, [found[last][name] for name in chosen], [truths[name] for name in chosen], template, true_rays
    )
    output = Path(options.output)
    write_text(output / "rays.md", text)
    write_json(
        output / "rays.json",
        rays.as_json(metrics, errors, spreads) | {"valid_pixels": pixels.tolist()},
        end="\n",
    )
    write_image(output / "rays.png", picture)
    print(text)
    print(f"{output / 'rays.md'}, {output / 'rays.json'}, {output / 'rays.png'}")


if __name__ == "__main__":
    run(main)
