"""Reads metric families out of a Prometheus exposition and compares whole families."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lab import exposition

# Envoy's own families; everything else on the page comes from a plugin, also
# what a label that leaked into a name would look like.
ENVOY_PREFIX = "envoy_"
# What the plugin tells about itself.
SELF_PREFIX = "istio_stats_"


# Sorted pairs.
LabelSet = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Family:
    """A metric with all its series: label set to value.

    The value of a histogram's series is its count: a duration is never the
    same twice, and Envoy's sum is approximate.
    """

    name: str
    kind: str
    series: dict[LabelSet, float] = field(default_factory=dict)


Families = dict[str, Family]


def label_set(labels: Mapping[str, str]) -> LabelSet:
    return tuple(sorted(labels.items()))


def parse(text: str) -> Families:
    """Every family that is not Envoy's own, by name."""
    families: Families = {}
    for metric in exposition.families(text, lambda name: not name.startswith(ENVOY_PREFIX)):
        for sample in metric.samples:
            name, labels = sample.name, dict(sample.labels)
            if metric.type == "histogram":
                if not name.endswith("_count"):
                    continue
                name = name.removesuffix("_count")
            family = families.setdefault(name, Family(name, metric.type))
            key = label_set(labels)
            assert key not in family.series, f"{name} has two series with the labels {labels}"
            family.series[key] = sample.value
    return families


def differences(actual: Families, golden: Families) -> list[str]:
    """One readable line per difference between two sets of families; none if they are equal."""
    lines = []
    for name in sorted(actual.keys() | golden.keys()):
        if name not in golden:
            lines.append(f"{name}: unexpected family")
            lines.extend(f"  {_shown(labels)} = {value:g}" for labels, value in actual[name].series.items())
        elif name not in actual:
            lines.append(f"{name}: missing family")
        else:
            lines.extend(_family_differences(actual[name], golden[name]))
    return lines


def standard(families: Families) -> Families:
    """The families without what the plugin tells about itself."""
    return {name: family for name, family in families.items() if not name.startswith(SELF_PREFIX)}


def _family_differences(actual: Family, golden: Family) -> Iterator[str]:
    name = golden.name
    if actual.kind != golden.kind:
        yield f"{name}: is a {actual.kind}, expected a {golden.kind}"
    unexpected = [labels for labels in actual.series if labels not in golden.series]
    for labels, wanted in golden.series.items():
        if labels in actual.series:
            found = actual.series[labels]
            if found != wanted:
                yield f"{name}: is {found:g}, expected {wanted:g}: {_shown(labels)}"
            continue
        nearest = min(unexpected, key=lambda other: len(_changes(labels, other)), default=None)
        if nearest is None:
            yield f"{name}: missing series {_shown(labels)} = {wanted:g}"
            continue
        unexpected.remove(nearest)
        yield f"{name}: labels differ ({actual.series[nearest]:g} found, {wanted:g} expected):"
        yield from (f"  {change}" for change in _changes(labels, nearest))
    for labels in unexpected:
        yield f"{name}: unexpected series {_shown(labels)} = {actual.series[labels]:g}"


def _changes(wanted: LabelSet, found: LabelSet) -> list[str]:
    expected, actual = dict(wanted), dict(found)
    lines = []
    for label in sorted(expected.keys() | actual.keys()):
        if label not in actual:
            lines.append(f"{label}: missing, expected {expected[label]!r}")
        elif label not in expected:
            lines.append(f"{label}: unexpected, is {actual[label]!r}")
        elif expected[label] != actual[label]:
            lines.append(f"{label}: is {actual[label]!r}, expected {expected[label]!r}")
    return lines


def _shown(labels: LabelSet) -> str:
    return "{" + ", ".join(f"{label}={value!r}" for label, value in labels) + "}"
