"""Proxies whose plugins were configured to be different: further labels, other encodings."""

import json

from harness import bootstrap
from harness.scrape import Family, label_set


class Customised:
    """A proxy with further labels in its bootstrap's stats_tags.

    `istio_form`: the tags as Istio's `extraStatTags` makes them. `as_struct`: the
    stats plugin's configuration is a google.protobuf.Struct instead of JSON in a
    StringValue.
    """

    def __init__(self, sidecar, labels=(), istio_form=False, as_struct=False):
        self._sidecar = sidecar
        self._labels = labels
        self._istio_form = istio_form
        self._as_struct = as_struct

    def __getattr__(self, name):
        return getattr(self._sidecar, name)

    def bootstrap(self):
        whole = self._sidecar.bootstrap()
        whole["stats_config"]["stats_tags"] = stats_tags(self._labels, self._istio_form)
        if self._as_struct:
            for plugin in _stats_plugins(whole):
                value = json.loads(plugin["configuration"]["value"])
                plugin["configuration"] = {"@type": bootstrap.TYPE + "google.protobuf.Struct", "value": value}
        return whole


def stats_tags(labels, istio_form=False):
    """The list that the project ships, and a line of the same form for each of these labels."""
    if istio_form:
        return bootstrap.istio_stats_tags() + [_tag(label, rf"({label}=\.=(.*?);\.;)") for label in labels]
    anchored = r"^wasmcustom\.(?:[^;]*;\.;)*?"
    return bootstrap.stats_tags() + [_tag(label, rf"{anchored}({label}=\.=([^;]*);\.;)") for label in labels]


def _tag(label, regex):
    return {"tag_name": label, "regex": regex}


def _stats_plugins(node):
    """The plugin configurations of the stats plugin, anywhere in a bootstrap."""
    if isinstance(node, dict):
        if node.get("name") == "istio_stats" and "vm_config" in node:
            yield node
        node = node.values()
    elif not isinstance(node, list):
        return
    for child in node:
        yield from _stats_plugins(child)


def changed(family, **labels):
    """The family with these labels set in each series; None takes one away."""

    def change(series):
        wanted = {**dict(series), **labels}
        return label_set({label: value for label, value in wanted.items() if value is not None})

    return Family(family.name, family.kind, {change(series): value for series, value in family.series.items()})


def together(*parts):
    """Families that hold the series of all these; what has the same labels is added up."""
    merged = {}
    for families in parts:
        for name, family in families.items():
            into = merged.setdefault(name, Family(name, family.kind, {}))
            assert into.kind == family.kind, name
            for labels, value in family.series.items():
                into.series[labels] = into.series.get(labels, 0) + value
    return merged


def times(family, count):
    """The family with every value so many times as high."""
    return Family(family.name, family.kind, {labels: count * value for labels, value in family.series.items()})


def without_build(families):
    """The families that change; istio_build has no label that could."""
    return {name: family for name, family in families.items() if name != "istio_build"}


def all_changed(families, **labels):
    """The same for every family but istio_build."""
    return {**families, **{name: changed(family, **labels) for name, family in without_build(families).items()}}
