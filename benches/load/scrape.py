"""What a scrape of one proxy with many label sets costs, in each form: its page, its main thread, and Prometheus."""

import bisect
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from benches.load import mesh
from benches.load.hosts import NewHosts
from benches.load.prometheus import SPEAKS_PROTOBUF, Prometheus
from benches.load.proxy import Proxy
from benches.load.report import Part, Verdict
from benches.load.settle import settle
from benches.load.stream import Stream
from lab import plugins
from lab.processes import Processes
from lab.prometheus import ask
from lab.tree import Json
from lab.waiting import wait_until

LABEL_SETS = 1000
# Defined before the next are asked for.
BATCH = 100
SCRAPES = 5
INTERVAL_SECONDS = 5
DURATION = "istio_request_duration_milliseconds"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
NATIVE = {"histogram_buckets": "prometheusnative"}
# Its parameters and what the scrape accepts, by the form's name.
FORMS: dict[str, tuple[dict[str, str], str]] = {
    "classic, text": ({}, "text/plain"),
    "classic, protobuf": ({}, PROTOBUF),
    "native, protobuf": (NATIVE, PROTOBUF),
}
TEXT, PROTO, NATIVES = FORMS


def run(effort: float) -> Part:
    label_sets = max(20, round(LABEL_SETS * min(effort, 1)))
    plugin = mesh.ours("istio_stats", "stats_outbound", max_series=2 * LABEL_SETS)
    variant = mesh.Variant("scraped", "", filters=(plugins.http_filter(plugin),), stream=Stream(named_service=False))
    with Processes() as processes, tempfile.TemporaryDirectory() as directory:
        envoys = mesh.Mesh(processes, "scrape", [variant])
        client = NewHosts("service", envoys.port(variant))
        for begin in range(0, label_sets, BATCH):
            client.request_new(min(BATCH, label_sets - begin))
            settle(envoys.proxy)
        found = {name: {**page(envoys.proxy, name), **scraped(envoys.proxy, name, Path(directory))} for name in FORMS}
        version = envoys.proxy.version
    return report(found, label_sets, client.sent, version)


def page(proxy: Proxy, form: str) -> Json:
    """Its bytes and the CPU time that it takes Envoy's main thread, the least of some."""
    request = scrape_of(proxy, form)
    seconds = []
    for _ in range(SCRAPES):
        before = proxy.main_seconds()
        with urllib.request.urlopen(request) as response:
            size = len(response.read())
        seconds.append(proxy.main_seconds() - before)
        time.sleep(0.2)
    return {"bytes": size, "envoy_ms": min(seconds) * 1000}


def scrape_of(proxy: Proxy, form: str) -> urllib.request.Request:
    """A scrape in this form."""
    parameters, accept = FORMS[form]
    query = urllib.parse.urlencode({"filter": "istio_", **parameters})
    return urllib.request.Request(f"{proxy.admin_url}/stats/prometheus?{query}", headers={"Accept": accept})


def scraped(proxy: Proxy, form: str, directory: Path) -> Json:
    """What a Prometheus of its own has of it, and needs for that."""
    parameters, _ = FORMS[form]
    name = form.replace(", ", "-")
    with Processes() as processes:
        options = () if form == TEXT else SPEAKS_PROTOBUF
        prometheus = Prometheus(processes, name, scraping(proxy, parameters), directory, options)
        empty = prometheus.resident_bytes()
        wait_until(lambda: prometheus.value("up") == 1, f"{form}: a scrape")
        began = prometheus.cpu_seconds()
        time.sleep(SCRAPES * INTERVAL_SECONDS)
        cpu = (prometheus.cpu_seconds() - began) / SCRAPES
        histogram = f"sum({DURATION})" if parameters else f"sum by (le) ({DURATION}_bucket)"
        count = f"histogram_count({histogram})" if parameters else f"sum({DURATION}_count)"
        return {
            "series": prometheus.value('count({__name__=~"istio_re.*"})'),
            "prometheus_ms": cpu * 1000,
            "prometheus_bytes": prometheus.resident_bytes() - empty,
            "requests": prometheus.value("sum(istio_requests_total)"),
            "samples": prometheus.value(count),
            "quantiles": [prometheus.value(f"histogram_quantile({q}, {histogram})") for q in (0.5, 0.9, 0.99)],
            "bounds": bounds(prometheus) if not parameters else None,
        }


def scraping(proxy: Proxy, parameters: dict[str, str]) -> Json:
    pace = f"{INTERVAL_SECONDS}s"
    labels = {f"__param_{name}": value for name, value in parameters.items()}
    job: Json = {
        "job_name": "envoy",
        "metrics_path": "/stats/prometheus",
        "params": {"filter": ["istio_"]},
        "static_configs": [{"targets": [proxy.admin_url.removeprefix("http://")], "labels": labels}],
    }
    return {"global": {"scrape_interval": pace, "scrape_timeout": pace}, "scrape_configs": [job]}


def bounds(prometheus: Prometheus) -> list[float]:
    found = ask(prometheus.url, "query", query=f"group by (le) ({DURATION}_bucket)")["result"]
    return sorted(float(one["metric"]["le"]) for one in found)


def report(found: dict[str, Json], label_sets: int, sent: int, version: str) -> Part:
    rows = [
        [
            name,
            round(one["bytes"] / 1000),
            round(one["series"]),
            one["envoy_ms"],
            one["prometheus_ms"],
            one["prometheus_bytes"] / (1 << 20),
        ]
        for name, one in found.items()
    ]
    return Part(
        name="scrape",
        title=f"One scrape of a proxy with {label_sets} label sets of HTTP",
        columns=["form", "page, kB", "series", "Envoy, ms CPU", "Prometheus, ms CPU", "Prometheus, MiB"],
        rows=rows,
        about={"envoy": version, "label sets": label_sets, "scrapes": SCRAPES},
        raw=found,
        verdicts=verdicts(found, sent),
    )


def verdicts(found: dict[str, Json], sent: int) -> list[Verdict]:
    text, native = found[TEXT], found[NATIVES]

    def ratio(what: str, field: str, most: float) -> Verdict:
        value = native[field] / text[field]
        return Verdict(value <= most, f"native {what} {value:.3f} of classic text, at most {most}")

    counted = {name: (one["requests"], one["samples"]) for name, one in found.items()}
    return [
        ratio("bytes", "bytes", 0.15),
        ratio("series", "series", 0.2),
        Verdict(
            all(both == (sent, sent) for both in counted.values()),
            f"every form has {sent} requests, as counter and in the histogram: {counted}",
        ),
        Verdict(
            all(
                abs(bisect.bisect_left(text["bounds"], one) - bisect.bisect_left(text["bounds"], other)) <= 1
                for one, other in zip(text["quantiles"], native["quantiles"], strict=True)
            ),
            f"quantiles within a bucket of each other: {text['quantiles']} and {native['quantiles']} ms",
        ),
    ]
