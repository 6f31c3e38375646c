"""Whether PyTorch and PaddlePaddle compute the same: layers, losses, gradients, training steps, depth metrics.

Each backend runs in a process of its own on the same images and weights. Prints a table of differences and writes a
certificate. Exit code 0: all within their bounds; 1: something is not, or a backend crashed; 2: the request is wrong.
"""

import json
import sys
import tempfile
from pathlib import Path

from core.errors import UserError, run
from core.options.parsing import parse_method
from core.options.tools import parity_options


def main(argv: list[str] | None = None) -> None:
    """Parses, asks both backends, compares, reports."""
    options = parse_method(argv, __doc__ or "", parity_options)
    from backends import BACKENDS, PACKAGES, installed_backends
    from core.files.whole import write_text
    from core.parity.certificate import certificate, table, versions
    from core.parity.comparison import compare, with_metrics
    from core.parity.processes import BackendError, ask
    from core.parity.request import Request, requested_options
    from core.parity.results import load_result

    for name in options.backends:
        if name not in installed_backends():
            raise UserError(
                f"{BACKENDS[name]} is not installed, and two are compared; pip install {PACKAGES[name]}"
            )
    request = Request.make(requested_options(options), options.steps)
    print(request.options.describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        files = {name: Path(folder) / f"{name}.npz" for name in options.backends}
        request.save(Path(folder) / "request.npz")
        try:
            ask(options.backends, Path(folder) / "request.npz", files, options.threads, options.timeout)
        except BackendError as error:
            print("FAIL", error, file=sys.stderr)
            sys.exit(1)
        results = {name: load_result(file) for name, file in files.items()}
    truth = request.ground_truth()
    first, second = (with_metrics(result, truth) for result in results.values())
    checks = compare(first, second, (options.backends[0], options.backends[1]))
    print(versions(results, options.threads))
    print(table(checks))
    output = (
        Path(options.output) if options.output.endswith(".json") else Path(options.output) / "parity.json"
    )
    write_text(output, json.dumps(certificate(request, results, checks, options.threads), indent=1))
    print(f"certificate: {output}")
    if not all(check.passed for check in checks):
        sys.exit(1)


if __name__ == "__main__":
    run(main)
