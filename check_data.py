"""Looks at a data folder as training and evaluation would, and prints all that cannot be right at once, in a table."""

from core.errors import UserError, run
from core.options import CheckOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, looks at lists, images, cameras, scans and ground truth, reports.

    Raises:
        UserError: something was found that ends a training or an evaluation.
    """
    options = parse(CheckOptions, argv, __doc__ or "")
    from core.datasets.checking import check_data, table

    seen, found = check_data(options)
    for line in seen:
        print(line)
    print(table(found))
    wrong = sum(finding.impossible and not finding.accepted for finding in found)
    if wrong:
        raise UserError(
            f"{options.data_path}: {wrong} of {len(found)} findings end a training or an evaluation; see above"
        )


if __name__ == "__main__":
    run(main)
