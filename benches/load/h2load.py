"""Requests from h2load: as fast as they are answered, or at a fixed rate."""

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from benches.load import machine
from lab.failure import Failure

TIMEOUT_SECONDS = 120
# What a browser sends, too: Envoy reads it and attributes are made of it.
HEADERS = ("accept: */*", "content-type: application/json", "x-request-id: 9a4e5f6c-1111-4222-8333-444455556666")


@dataclass(frozen=True)
class Load:
    """So many requests, over so many connections."""

    name: str
    connections: int
    requests: int
    # `None`: the next request of a connection is sent when the last one is answered.
    per_second: int | None = None


def send(port: int, load: Load, headers: Sequence[str] = ()) -> float:
    """Sends it, with these headers besides the usual; returns the seconds it took."""
    pace = () if load.per_second is None else (f"--rps={load.per_second // load.connections}",)
    output = _run(port, load.requests, load.connections, *pace, headers=headers)
    # In whatever unit h2load finds readable.
    ((number, unit),) = re.findall(r"finished in ([0-9.]+)(us|ms|s)", output)
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


def open_loop(port: int, per_second: int, seconds: int, connections: int) -> list[float]:
    """Sends at a fixed rate, whether or not others are answered; returns each request's latency in ms.

    Every connection sends at its own share of the rate; they begin one after
    the other, so that the requests of all are evenly spread.
    """
    share = per_second // connections
    with tempfile.NamedTemporaryFile("r") as log:
        period_ms = 1000 / share
        batch = max(1, round(connections / period_ms))
        _run(
            port,
            share * connections * seconds,
            connections,
            *(f"--rps={share}", f"--rate={batch}", "--rate-period=1ms", f"--log-file={log.name}"),
        )
        # When it was sent, status, how long it took in µs.
        return [int(line.split("\t")[2]) / 1000 for line in log]


def _run(port: int, requests: int, connections: int, *options: str, headers: Sequence[str] = ()) -> str:
    more = [option for header in (*HEADERS, *headers) for option in ("--header", header)]
    command = [
        *("h2load", "--h1", "--threads=1", f"--requests={requests}", f"--clients={connections}"),
        *options,
        *more,
        f"http://127.0.0.1:{port}/",
    ]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            start_new_session=True,
            preexec_fn=_favour_self,
            check=False,
        )
    except FileNotFoundError:
        raise Failure("no h2load. Install it: apt install nghttp2-client") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"no end of {requests} requests within {TIMEOUT_SECONDS} s") from None
    if f" {requests} succeeded, " not in done.stdout:
        raise Failure(f"not all of {requests} requests succeeded:\n{done.stdout}{done.stderr}")
    return done.stdout


def _favour_self() -> None:
    machine.favour(os.getpid(), machine.other_cores())
