"""Instructions and cache misses of the plugin's own code per request, in a native build, by callgrind.

They are the same wherever it runs, to a few: a change shows that no machine would be quiet enough for. Wasm has other
instructions, but as many times more of them as there are more here.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benches.load.report import OUT, Part
from lab.failure import Failure

# Of caches that do not change with the machine.
CACHES = ("--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64")
# What is watched: the functions of that name in benches/native/main.rs.
WATCHED = "--toggle-collect=*_request"
REQUESTS = 100


def run(_: float) -> Part:
    binary = _build()
    kinds = _output([str(binary)]).splitlines()
    print(".", end="", flush=True)
    counted = {kind: {caches: _count(binary, kind, caches) for caches in ("warm", "cold")} for kind in kinds}
    print()
    return Part(
        name="instructions",
        title="What the core does for a request, in a native build: per request, by callgrind",
        columns=["request", "instructions", "lines of code", "lines of data"],
        rows=[
            [
                kind,
                f"{by['warm']['Ir']:.0f}",
                f"{by['cold']['ILmr']:.0f}",
                f"{by['cold']['DLmr'] + by['cold']['DLmw']:.0f}",
            ]
            for kind, by in counted.items()
        ],
        about={"requests": REQUESTS, "valgrind": _output(["valgrind", "--version"]).strip()},
        raw=counted,
    )


def _build() -> Path:
    command = ["cargo", "build", "--quiet", "--release", "--bench", "instructions", "--message-format=json"]
    built = re.findall(r'"executable":"([^"]*/instructions-[^"]*)"', _output(command))
    if not built:
        raise Failure("cargo built no bench of that name")
    return Path(built[-1])


def _count(binary: Path, kind: str, caches: str) -> dict[str, float]:
    """Events per request, with caches that are warm or that something else filled."""
    print(".", end="", flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    out = OUT / "callgrind.out"
    _output(["valgrind", "--tool=callgrind", WATCHED, *CACHES, f"--callgrind-out-file={out}", binary, kind, caches])
    return dict(_events(out.read_text()))


def _events(profile: str) -> Iterator[tuple[str, float]]:
    lines = dict(line.split(": ", 1) for line in profile.splitlines() if line.startswith(("events: ", "totals: ")))
    for name, count in zip(lines["events"].split(), lines["totals"].split(), strict=True):
        yield name, int(count) / REQUESTS


def _output(command: Sequence[str | Path]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise Failure(f"no {command[0]}. Install it: apt install {command[0]}") from None
    except subprocess.CalledProcessError as error:
        raise Failure(f"{command[0]} failed:\n{error.stderr}") from None
