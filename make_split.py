"""Makes the split lists of your own images or videos: which frames to train on, and which to hold out."""

from pathlib import Path

from core.errors import UserError, run
from core.options import SplitOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, extracts the frames of videos, chooses, writes, reports."""
    options = parse(SplitOptions, argv, __doc__ or "")
    from core.datasets.own_splits import make_split, require_free
    from core.datasets.sequences import find_sequences, sizes_of
    from core.datasets.videos import extract_videos, frames_folder, is_video
    from core.plausibility.cameras import check_sequence

    assert options.data_path is not None  # validated by the parser
    data_path = Path(options.data_path)
    if not data_path.is_dir() and not is_video(data_path):
        raise UserError(
            f"{data_path}: no such folder or video; --data_path is a folder of images, or a video"
        )
    root = frames_folder(data_path) if is_video(data_path) else data_path
    output = Path(options.output or root / "splits")
    require_free(output, options.force)  # before hours are spent
    for line in extract_videos(data_path, options.png):
        print(line)
    sequences = find_sequences(root)
    for sequence in sequences.values():
        files = [file for images in sequence.cameras.values() for file in images.values()]
        check_sequence(sequence.folder, sizes_of(files))
        for note in sequence.notes:
            print(note)
    split = make_split(
        sequences, options.frame_ids, options.use_stereo, options.validation_share, options.skip_static
    )
    split.write(output, options.force)
    stereo = sum(sequence.is_stereo for sequence in sequences.values())
    print(f"{root}: {len(sequences)} sequences, {stereo} of them stereo; {split.describe()}")
    print(f"{output}: train_files.txt, val_files.txt")


if __name__ == "__main__":
    run(main)
