"""Trains a depth network from video, stereo pairs or both: options → backend → Trainer(options).run()."""

from backends import load_backend, require_installed
from core.errors import UserError, run
from core.options import Options
from core.options.parsing import parse_method


def main(argv: list[str] | None) -> None:
    """Parses the options of the chosen method and trains it."""
    options = parse_method(argv, __doc__ or "")
    from core.datasets import require_data
    from core.weights.zoo import with_weights

    require_installed(options.backend)
    require_data(options)
    try:
        options = with_weights(options)
        if options.start_epoch < 0:
            from core.weights.continued import with_start_epoch

            options = with_start_epoch(options)
    except UserError:
        if not options.resume:  # a run that has a checkpoint starts from there
            raise
    if options.dry_run:
        dry_run(options)
    else:
        load_backend(options.backend, "trainer").Trainer(options).run()


def dry_run(options: Options) -> None:
    """Says what the data look like, tries one batch, and writes nothing.

    Raises:
        UserError: an image is unreadable, and bad images are not skipped; or there are several processes.
    """
    from core.datasets import open_datasets, with_baseline
    from core.datasets.inspection import inspect
    from core.training.processes import read_processes

    if read_processes(options.backend).count > 1:
        raise UserError("--dry_run runs in one process: leave the launcher out")
    unreadable = []
    for part in ("train", "val"):
        for listing, dataset in zip(options.listings(part), open_datasets(options, part), strict=True):
            options = with_baseline(options, dataset)
            lines, bad = inspect(dataset, options.dry_run_images, options.baseline)
            split = f", split {listing.split}" if dataset.takes_split else ""
            split += "" if listing.camera is None else f", {listing.camera}"
            print(
                f"{part}: {listing.dataset} in {dataset.root}{split}",
                *dataset.news(),
                *lines,
                sep="\n  ",
                flush=True,
            )
            unreadable += bad
    if unreadable and options.bad_images == "fail":
        raise UserError(f"{unreadable[0]} ({len(unreadable)} unreadable images); or use --bad_images skip")
    losses = load_backend(options.backend, "trainer").Trainer(options, pretrained=False).dry_run()
    print("one batch:", ", ".join(f"{name} {value:.5f}" for name, value in losses.items()))
    print("nothing was written")


if __name__ == "__main__":
    run(main)
