"""Reads Prometheus' text format."""

from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def families(text: str, is_wanted: Callable[[str], bool]) -> Iterable[Metric]:
    """Those whose names are wanted: Envoy has some thousand others, which take long to parse."""
    kept = (line for line in text.splitlines() if is_wanted(line.removeprefix("# TYPE ")))
    return text_string_to_metric_families("\n".join(kept) + "\n")


def istio_samples(text: str) -> list[Sample]:
    """All whose names begin as those of Istio's metrics do."""
    found = families(text, lambda name: name.startswith("istio_"))
    return [sample for family in found for sample in family.samples]
