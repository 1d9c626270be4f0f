"""Istio's standard metrics on two stock Envoys in two Kubernetes clusters.

Starts an application with its server-side Envoy (Kubernetes cluster `west`) and
a client-side Envoy (`east`), with the very files of envoy-config/standalone,
sends requests that succeed and fail, makes TCP connections, and shows what both
Envoys then report.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from demo import traffic
from lab import envoy, metrics, plugins, table
from lab.failure import Failure
from lab.metrics import Labels, Snapshot
from lab.paths import ROOT, command, module, native_module
from lab.ports import is_listening, require_free
from lab.processes import Process, Processes
from lab.waiting import PATIENCE_SECONDS, leftovers
from lab.web import answers_ok

LOGS = Path("out/demo")
APPLICATION_PORTS = {18003: "the application", 18004: "the application's gRPC", 18008: "the application's TCP"}
DOWN_PORT = 18005
PAGE_PORT = 15080
# Between two kinds of requests, once everything was shown.
PAUSE_SECONDS = 1


@dataclass(frozen=True)
class Proxy:
    name: str
    side: str
    reporter: str
    port: int
    tcp_port: int
    admin_port: int

    @property
    def stats_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}/stats/prometheus"


@dataclass(frozen=True)
class Form:
    """What the plugins are: Wasm modules or the native one."""

    samples: str
    require: Callable[[], None]


def require_wasm() -> None:
    for name in ("istio_stats", "metadata_exchange"):
        module(name)


def require_native() -> None:
    native_module()
    if envoy.release() < plugins.FIRST_NATIVE:
        raise Failure(f"the native module needs Envoy 1.40 or later, and this is {envoy.version()}")


WASM = Form("{}.yaml", require=require_wasm)
NATIVE = Form("{}-native.yaml", require=require_native)

EAST = Proxy("east", "client's", "source", 18001, 18006, 19001)
WEST = Proxy("west", "server's", "destination", 18002, 18007, 19002)
ADMIN_URLS = [f"http://127.0.0.1:{proxy.admin_port}" for proxy in (EAST, WEST)]


def main() -> None:
    chosen = arguments()
    os.chdir(ROOT)
    # Each line when it is true, through a pipe as well.
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        demo(chosen.keep, NATIVE if chosen.native else WASM)
    except (Failure, traffic.UnexpectedAnswer) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        print("\nstopped")
        sys.exit(130)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description=__doc__,
        epilog="ENVOY_VERSION chooses another supported Envoy, ENVOY_PATH a binary of your own.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def flag(name: str, variable: str, explanation: str) -> None:
        is_set = os.environ.get(variable, "") not in ("", "0")
        parser.add_argument(name, action="store_true", default=is_set, help=f"{explanation} (or {variable}=1)")

    flag("--keep", "DEMO_KEEP", "leave everything running until Ctrl-C")
    flag("--native", "NATIVE", "with the native module in place of the Wasm modules")
    return parser.parse_args()


def demo(keep: bool, form: Form) -> None:
    form.require()
    require_ports(keep)
    with Processes() as processes:
        start(processes, form)
        sent = send(processes)
        with connect(processes):
            wait_for_counts(processes, sent)
            for proxy in (EAST, WEST):
                show(proxy, metrics.Snapshot.scrape(proxy.admin_port))
            if keep:
                show_picture(processes)
            say_where_to_look(keep)
            if keep:
                keep_sending(processes)


def require_ports(keep: bool) -> None:
    if keep:
        require_free(PAGE_PORT, "the page of istio-stats ui")
    for proxy in (EAST, WEST):
        require_free(proxy.port, f"the HTTP listener of the Envoy {proxy.name}")
        require_free(proxy.tcp_port, f"the TCP listener of the Envoy {proxy.name}")
        require_free(proxy.admin_port, f"the admin interface of the Envoy {proxy.name}")
    for port, purpose in APPLICATION_PORTS.items():
        require_free(port, purpose)
    require_free(DOWN_PORT, "a service that is down")


def start(processes: Processes, form: Form) -> None:
    begin = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    application = processes.start("the application", [sys.executable, "demo/backend.py"], LOGS / "application.log")
    envoys = {proxy: start_envoy(processes, proxy, form) for proxy in (WEST, EAST)}
    application.wait_until(lambda: all(is_listening(port) for port in APPLICATION_PORTS))
    for proxy, process in envoys.items():
        process.wait_until(partial(answers_ok, f"http://127.0.0.1:{proxy.admin_port}/ready"))
    print(f"{envoy.version()}: two proxies and an application started in {time.monotonic() - begin:.1f} s\n")


def start_envoy(processes: Processes, proxy: Proxy, form: Form) -> Process:
    # Two workers show that their counts add up.
    with_file = envoy.command(Path("envoy-config/standalone") / form.samples.format(proxy.name), workers=2)
    return processes.start(f"the Envoy {proxy.name}", with_file, LOGS / f"{proxy.name}.log")


def send(processes: Processes) -> dict[Proxy, int]:
    """Sends everything; returns how many requests each proxy has to report."""
    print(f"requests to http://127.0.0.1:{EAST.port}:")
    sent = {EAST: 0, WEST: 0}
    try:
        for batch in traffic.send(traffic.BATCHES, EAST.port):
            print(f"  {batch.count:3} × {batch.what}")
            sent[EAST] += batch.count
            sent[WEST] += batch.count if batch.reaches_west else 0
    except Exception:
        # If a proxy has ended, that is the better message.
        processes.require_running()
        raise
    return sent


@contextmanager
def connect(processes: Processes) -> Iterator[None]:
    """Makes the TCP connections; one stays open within the context."""
    with ExitStack() as stack:
        try:
            stack.enter_context(traffic.connections(EAST.tcp_port))
        except Exception:
            processes.require_running()
            raise
        print(f"  {traffic.CLOSED_CONNECTIONS:3} × TCP connections to port {EAST.tcp_port}, and one that stays open")
        yield


def wait_for_counts(processes: Processes, sent: dict[Proxy, int]) -> None:
    """A request is counted when its stream ends, an open connection at the next
    report, and a histogram appears at the next flush."""

    def lacking() -> list[str]:
        processes.require_running()
        return [text for proxy, count in sent.items() for text in lacking_of(proxy, count)]

    if lines := leftovers(lacking):
        raise Failure(
            f"after {PATIENCE_SECONDS} s the metrics are not what was sent:\n  "
            + "\n  ".join(lines)
            + f"\nThe Envoys' logs are in {LOGS}/."
        )


def lacking_of(proxy: Proxy, requests: int) -> Iterator[str]:
    connections = traffic.CLOSED_CONNECTIONS + 1
    expected = {
        metrics.REQUESTS: requests,
        f"{metrics.DURATION}_count": requests,
        metrics.TCP_OPENED: connections,
        metrics.TCP_CLOSED: traffic.CLOSED_CONNECTIONS,
        metrics.TCP_RECEIVED: connections * len(traffic.ENTRY),
        metrics.TCP_SENT: connections * len(traffic.RECEIPT),
        f"{metrics.TCP_DURATION}_count": traffic.CLOSED_CONNECTIONS,
    }
    snapshot = metrics.Snapshot.scrape(proxy.admin_port)
    for name, count in expected.items():
        found = snapshot.total(name)
        if found != count:
            yield f"{proxy.name}: {name} sums to {found}, expected {count} ({proxy.stats_url})"


def show(proxy: Proxy, snapshot: Snapshot) -> None:
    show_requests(proxy, snapshot)
    show_messages(snapshot)
    show_connections(snapshot)


def show_requests(proxy: Proxy, snapshot: Snapshot) -> None:
    table.show(
        f"The {proxy.side} side, Envoy {proxy.name}, reporter={proxy.reporter}: {metrics.REQUESTS}, {metrics.DURATION}",
        [*PEER_COLUMNS, "protocol", "code", "grpc", "flags", "requests", "p50 ms", "p99 ms"],
        [
            [
                *peers(labels),
                labels["request_protocol"],
                labels["response_code"],
                labels["grpc_response_status"],
                labels["response_flags"],
                int(value),
                snapshot.quantile(metrics.DURATION, labels, 0.5),
                snapshot.quantile(metrics.DURATION, labels, 0.99),
            ]
            for labels, value in sorted(snapshot.series(metrics.REQUESTS), key=order)
        ],
    )


def show_messages(snapshot: Snapshot) -> None:
    messages = (metrics.REQUEST_MESSAGES, metrics.RESPONSE_MESSAGES)
    table.show(
        f"gRPC messages there: {', '.join(messages)}",
        [*PEER_COLUMNS, "sent by client", "sent by server"],
        [
            [*peers(labels), *(snapshot.total(name, labels) for name in messages)]
            for labels in distinct(snapshot, messages, PEER_LABELS)
        ],
    )


def show_connections(snapshot: Snapshot) -> None:
    counters = (metrics.TCP_OPENED, metrics.TCP_CLOSED, metrics.TCP_RECEIVED, metrics.TCP_SENT)
    table.show(
        f"TCP there: istio_tcp_connections_{{opened,closed}}_total, istio_tcp_{{received,sent}}_bytes_total, "
        f"{metrics.TCP_DURATION}",
        [*PEER_COLUMNS, "flags", "opened", "closed", "bytes received", "bytes sent", "p50 ms"],
        [
            [
                *peers(labels),
                labels["response_flags"],
                *(snapshot.total(name, labels) for name in counters),
                snapshot.quantile(metrics.TCP_DURATION, labels, 0.5),
            ]
            for labels in distinct(snapshot, counters, (*PEER_LABELS, "response_flags"))
        ],
    )
    opened, closed = (snapshot.total(name) for name in (metrics.TCP_OPENED, metrics.TCP_CLOSED))
    print(f"\n  Still open: {opened} − {closed} = {opened - closed}. Its bytes are counted already.")


PEER_LABELS = (
    "source_cluster",
    "destination_cluster",
    "source_workload",
    "destination_workload",
    "destination_service_name",
)
PEER_COLUMNS = ["source_cluster", "destination_cluster", "workloads", "service"]


def peers(labels: Labels) -> tuple[str, str, str, str]:
    return (
        labels["source_cluster"],
        labels["destination_cluster"],
        f"{labels['source_workload']} → {labels['destination_workload']}",
        labels["destination_service_name"],
    )


def distinct(snapshot: Snapshot, names: Sequence[str], shown: Sequence[str]) -> list[dict[str, str]]:
    """What the series of these metrics have in the labels shown, each once."""
    series = (labels for name in names for labels, _ in snapshot.series(name))
    values = {tuple(labels[label] for label in shown) for labels in series}
    return [dict(zip(shown, row, strict=True)) for row in sorted(values)]


def order(series: tuple[Labels, float]) -> tuple[bool, bool, str, str]:
    labels, _ = series
    return (
        labels["request_protocol"] != "http",
        labels["destination_service_name"] != "reviews",
        labels["response_code"],
        labels["grpc_response_status"],
    )


def show_picture(processes: Processes) -> None:
    address = f"http://127.0.0.1:{PAGE_PORT}"
    arguments = ["ui", "--listen", f"127.0.0.1:{PAGE_PORT}", *ADMIN_URLS]
    page = processes.start("istio-stats ui", [command(), *arguments], LOGS / "ui.log")
    page.wait_until(partial(answers_ok, address))
    print(f"\nThe mesh in a browser: {address}/")


def say_where_to_look(keep: bool) -> None:
    print()
    if not keep:
        print("To see it in a browser, and to look further, leave it all running: DEMO_KEEP=1 make demo. Then:")
    print("  every series with its 25 labels:")
    for proxy in (EAST, WEST):
        print(f"    curl -s {proxy.stats_url} | grep '^istio_'")
    print("  which Kubernetes cluster calls which, live:")
    shown = f"{os.environ.get('CARGO_TARGET_DIR', 'target')}/debug/istio-stats"
    print(f"    {shown} top {' '.join(ADMIN_URLS)}")
    print("  one more request:")
    print(f"    curl -H 'Host: {traffic.REVIEWS}' http://127.0.0.1:{EAST.port}/")
    if keep:
        print("Requests and connections go on. Ctrl-C ends it.")


def keep_sending(processes: Processes) -> None:
    """The same again and again, so that there are rates to look at."""
    try:
        while True:
            for _ in traffic.send(traffic.BATCHES, EAST.port):
                processes.require_running()
                with traffic.connect(EAST.tcp_port):
                    time.sleep(PAUSE_SECONDS)
    except KeyboardInterrupt:
        print("\nstopped")
    except Exception:
        # If a process has ended, that is the better message.
        processes.require_running()
        raise


if __name__ == "__main__":
    main()
