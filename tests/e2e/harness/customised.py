"""Proxies whose plugins were configured to be different: further labels, other encodings."""

import json

from lab import bootstrap
from lab.tree import Json, configurations
from tests.e2e.harness.runnable import Runnable, Wrapper
from tests.e2e.harness.scrape import Families, Family, LabelSet, label_set
from tests.e2e.harness.tags import istio_stats_tags, stats_tags_of


class Customised(Wrapper):
    """A proxy whose bootstrap has the stats_tags of its own configuration.

    `istio_form`: the tags as Istio's `extraStatTags` makes them. `as_struct`: the
    stats plugin's configuration is a google.protobuf.Struct instead of JSON in a
    StringValue.
    """

    def __init__(self, sidecar: Runnable, istio_form: bool = False, as_struct: bool = False) -> None:
        super().__init__(sidecar)
        self._istio_form = istio_form
        self._as_struct = as_struct

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        # Of the native form labels are labels.
        if "stats_config" in whole:
            tags = istio_stats_tags if self._istio_form else stats_tags_of
            whole["stats_config"]["stats_tags"] = tags(whole)
        if self._as_struct:
            for configuration in configurations(whole, "istio_stats"):
                value = json.loads(configuration["value"])
                configuration |= {"@type": bootstrap.TYPE + "google.protobuf.Struct", "value": value}
        return whole


def changed(family: Family, **labels: str | None) -> Family:
    """The family with these labels set in each series; None takes one away."""

    def change(series: LabelSet) -> LabelSet:
        wanted = {**dict(series), **labels}
        return label_set({label: value for label, value in wanted.items() if value is not None})

    return Family(family.name, family.kind, {change(series): value for series, value in family.series.items()})


def together(*parts: Families) -> Families:
    """Families that hold the series of all these; what has the same labels is added up."""
    merged: Families = {}
    for families in parts:
        for name, family in families.items():
            into = merged.setdefault(name, Family(name, family.kind, {}))
            assert into.kind == family.kind, name
            for labels, value in family.series.items():
                into.series[labels] = into.series.get(labels, 0) + value
    return merged


def times(family: Family, count: float) -> Family:
    """The family with every value so many times as high."""
    return Family(family.name, family.kind, {labels: count * value for labels, value in family.series.items()})


def without_build(families: Families) -> Families:
    """The families that change; istio_build has no label that could."""
    return {name: family for name, family in families.items() if name != "istio_build"}


def all_changed(families: Families, **labels: str | None) -> Families:
    """The same for every family but istio_build."""
    return {**families, **{name: changed(family, **labels) for name, family in without_build(families).items()}}
