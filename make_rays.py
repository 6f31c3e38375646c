"""Writes the viewing ray of every pixel of a calibrated camera, for training without a camera model, and a picture."""

from pathlib import Path

from core.errors import UserError, run
from core.options import RayOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, computes, writes, reports."""
    options = parse(RayOptions, argv, __doc__ or "")
    from core.files.inputs import require_no_input

    require_no_input(options, "output", "picture")
    output = Path(options.output)
    picture = Path(options.picture or output.with_suffix(".png"))
    refusal = "is already there; choose another name, or replace it with --force"
    if output.exists() and not options.force:
        raise UserError(f"{output}: {refusal}")
    from core.cameras.making import describe, make_template
    from core.cameras.pictures import template_picture
    from core.cameras.templates import write_template
    from core.files.images import encoded, write_image

    template = make_template(options)
    for note in template.notes:
        print(note)
    shown = template_picture(template.rays, template.valid)
    # The picture first: what a kill leaves is that of this template, and the same command goes on.
    if picture.exists() and not options.force and picture.read_bytes() != encoded(shown, picture.suffix):
        raise UserError(f"{picture}: {refusal}")
    write_image(picture, shown)
    write_template(output, template.rays, template.valid)
    print(f"{output}: {describe(template)}")
    if output.suffix == ".npy" and template.valid is not None:
        print(f"{output}: .npy has no mask, so pixels without a ray have their neighbour's; .npz keeps it")
    print(picture)


if __name__ == "__main__":
    run(main)
