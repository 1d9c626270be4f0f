"""Benchmarks in a real Envoy. Prints tables, writes them to out/bench/, and ends with 1 if a target is missed."""

import argparse
import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from io import TextIOWrapper

from benches.load import machine
from benches.load.report import Verdict
from lab.failure import Failure
from lab.paths import ROOT

# Modules of this directory, in the order they run.
PARTS = {
    "request_cpu": "CPU time per HTTP request",
    "streams": "CPU time per HTTP request, of each kind that proxies see",
    "instructions": "instructions and cache misses per request, in a native build",
    "new_series": "what a new series costs, in time and memory",
    "latency": "latency of other requests while new series appear",
    "scrape": "what a scrape costs in each form, for Envoy and for Prometheus",
    "fleet": "what a mesh takes of its Prometheis, beside what `istio-stats plan` says",
    "model": "what a series costs a Prometheus, fitted to what `fleet` measured",
    "footprint": "size, time to ready, memory",
    "tcp": "TCP throughput",
    "hostcalls": "CPU time per hostcall, within a request",
    "opt_levels": "the module at each level of the compiler's",
}
# For the design, not for comparison, or with a target of its own (make scale): only when asked for.
OPTIONAL = {"hostcalls", "opt_levels", "fleet", "model"}


def main() -> None:
    options = arguments()
    os.chdir(ROOT)
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        verdicts = [verdict for name in options.only for verdict in run(name, options)]
    except (Failure, TimeoutError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if verdicts:
        print("\n=== targets\n\n" + "\n".join(map(str, verdicts)))
    sys.exit(0 if all(verdict.reached for verdict in verdicts) else 1)


def arguments() -> argparse.Namespace:
    names = "\n".join(f"  {name:12} {what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benches.load",
        description=__doc__,
        epilog=f"parts:\n{names}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        type=parts,
        default=[name for name in PARTS if name not in OPTIONAL],
        metavar="PART,…",
        help=f"these parts (default all but {', '.join(sorted(OPTIONAL))})",
    )
    parser.add_argument(
        "--effort", type=effort, default=1.0, metavar="N", help="how many rounds, as a multiple of the default"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="write tables and plots to benches/figures/, too, which benches/README.md shows",
    )
    return parser.parse_args()


def parts(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f'no part "{name}"; there are {", ".join(PARTS)}')
    return names


def effort(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 100")
    return value


def run(name: str, options: argparse.Namespace) -> Sequence[Verdict]:
    about = machine.describe()
    begin = time.monotonic()
    print(f"\n=== {PARTS[name]}")
    part = importlib.import_module(f"benches.load.{name}").run(options.effort)
    command = f'make bench BENCH="--only {name} --effort {options.effort:g}"'
    part.about.update(about, seconds=round(time.monotonic() - begin), command=command)
    part.show()
    part.write()
    if options.keep:
        part.keep()
    return part.verdicts


if __name__ == "__main__":
    main()
