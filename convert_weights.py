"""Weights from any known file or folder to another format, bit for bit. Nothing that a file may hide is executed."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError, run
from core.options import ConversionOptions
from core.options.parsing import parse

if TYPE_CHECKING:
    from core.weights.conversion import Converted, Write
    from core.weights.sources import WeightsFile
    from core.weights.verification import Difference


class FailedError(Exception):
    """The result is not the source: nothing is put into place."""


def main(argv: list[str] | None = None) -> None:
    """Parses, converts, prints; exit code 1 when the result is not the source."""
    options = parse(ConversionOptions, argv, __doc__ or "")
    from core.weights import conversion
    from core.weights.run_folder import weights_of
    from core.weights.sources import read_source

    assert options.source is not None  # validated by the parser
    source, report = Path(options.source), list[str]()
    if source.is_dir():
        source = weights_of(source)
        options = dataclasses.replace(options, source=str(source))
    files = read_source(source)
    try:
        written = (write_together if options.joined else write_folder)(options, files, report)
    except FailedError:
        print("\n".join([*report, "failed: nothing was written"]))
        sys.exit(1)
    left_out = conversion.left_out(source, files)
    if left_out:
        report.append(f"left out: {', '.join(left_out)}")
    print("\n".join([*report, f"written: {written}"]))


def write_folder(options: ConversionOptions, files: "list[WeightsFile]", report: list[str]) -> str:
    """A file for each network; returns what was written.

    Raises:
        FailedError: the result is not the source.
    """
    from core.options.parsing import save_options
    from core.weights import conversion

    assert options.source is not None and options.to is not None  # validated by the parser
    source, to = Path(options.source), options.to
    output = Path(options.output) if options.output else conversion.default_output(source, to)
    write = conversion.WRITERS.get(to) or pth_writer()
    names = [conversion.target_name(file, to) for file in files]
    kept = conversion.kept_options(source, files)
    written = names if kept is None else [*names, conversion.OPTIONS_FILE]
    conversion.require_free(output, source, written, options.force)

    def fill(folder: Path) -> None:
        converted = conversion.convert(files, to, folder, write, options.classifier)
        check(converted, files, [folder / name for name in names], options, report)
        if kept is not None:
            save_options(kept, folder / conversion.OPTIONS_FILE)

    conversion.place(output, source, fill)
    return f"{', '.join(written)} in {output}"


def write_together(options: ConversionOptions, files: "list[WeightsFile]", report: list[str]) -> str:
    """One file of all networks; returns its name.

    Raises:
        FailedError: the result is not the source.
    """
    from core.files.whole import write_atomically
    from core.weights import conversion

    assert options.joined is not None
    path = Path(options.joined)
    conversion.require_free_file(path, options.force)

    def fill(temporary: Path) -> None:
        converted = conversion.convert_together(files, temporary, pth_writer, options.classifier, path.name)
        check(converted, files, [temporary], options, report)

    write_atomically(path, fill)
    return str(path)


def check(
    converted: "list[Converted]",
    files: "list[WeightsFile]",
    results: list[Path],
    options: ConversionOptions,
    report: list[str],
) -> None:
    """Adds to the report what became of the files.

    Raises:
        FailedError: they are not the same.
    """
    report.extend(describe(converted))
    if not all(one.identical for one in converted):
        raise FailedError
    if options.verify and not verified(files, results, options.to or "torch", report):
        raise FailedError


def pth_writer(key: str | Sequence[str] | None = None) -> "Write":
    """The one writer that needs a framework.

    Args:
        key: under which the state lies in the file, or the keys of its parts; None: at its top.

    Raises:
        UserError: it is not installed.
    """
    from backends import installed_backends, load_backend

    if "torch" not in installed_backends():
        option = "--to torch" if key is None else "--joined"
        raise UserError(
            f"{option}: .pth files are written by PyTorch, which is not installed; pip install torch, "
            "or use --to safetensors, which either backend reads"
        )
    checkpoint = load_backend("torch", "checkpoint")
    return lambda path, state: checkpoint.write_weights(path, state, {}, key)


def describe(converted: "list[Converted]") -> list[str]:
    """The table, what was added, and whether the bits are the same."""
    from core.weights.conversion import table

    lines = [table(converted)]
    added = [
        f"{one.result.path.name} ({', '.join(f'{count} {kind}' for kind, count in one.added.items())})"
        for one in converted
        if one.added
    ]
    if added:
        lines.append(f"added, of zeros: {', '.join(added)}")
    changed = [one.result.path.name for one in converted if not one.identical]
    same = "bit-identical: the values read again from every file have the sha256 of the values read from its source"
    lines.append(f"CHANGED: {', '.join(changed)}" if changed else same)
    return lines


def verified(files: "list[WeightsFile]", results: list[Path], to: str, report: list[str]) -> bool:
    """Runs the networks of both sides on the same images and adds what came out to the report."""
    from backends import BACKENDS, installed_backends
    from core.weights import verification

    sides = verification.choose_backends({file.layout for file in files}, to, installed_backends())
    paths = [[file.path for file in files], results]
    outputs = [verification.outputs_in_process(*side) for side in zip(sides, paths, strict=True)]
    report.append(
        f"outputs for a fixed image of {verification.WIDTH}x{verification.HEIGHT}: "
        f"source in {BACKENDS[sides[0]]}, result in {BACKENDS[sides[1]]}"
    )
    differences = verification.compare(*outputs)
    report.extend(describe_difference(difference) for difference in differences)
    return all(difference.passed for difference in differences)


def describe_difference(difference: "Difference") -> str:
    """A line of the verification."""
    from core.weights.verification import BOUND

    verdict = "ok" if difference.passed else "FAILED"
    size = f"largest difference {difference.largest:.1e} of the largest value, bound {BOUND:.0e}"
    return f"  {difference.network:<16} {size}: {verdict}"


if __name__ == "__main__":
    run(main)
