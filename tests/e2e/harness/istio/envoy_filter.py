"""EnvoyFilters, applied as istiod does.

Only what samples need: patches of listeners, of the network and HTTP filters in
their chains, of upstream clusters, and extension configurations. Everything is
plain dictionaries in protobuf's JSON with snake_case names.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from lab.tree import Json

# Whether a patch is for what stands here.
Where = Callable[[Json], bool]

HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"
_APPLY_TO = ("LISTENER", "NETWORK_FILTER", "HTTP_FILTER", "CLUSTER", "EXTENSION_CONFIG")


@dataclass
class Patcher:
    """The patches of all EnvoyFilters that select a proxy, in the order of their application."""

    patches: list[Json]
    # Of these patches, the indices of those that changed something.
    applied: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, envoy_filters: Iterable[Json], node: Json, root_namespace: str = "istio-system") -> "Patcher":
        """Those for the proxy with this `node` (of its bootstrap)."""
        metadata = node["metadata"]
        chosen = [one for one in envoy_filters if _selects(one, metadata, root_namespace)]
        chosen.sort(key=lambda one: (one["spec"].get("priority", 0), *_age(one, root_namespace)))
        patches = [patch for one in chosen for patch in one["spec"]["configPatches"]]
        return cls([patch for patch in patches if _fits_proxy(patch.get("match", {}), metadata)])

    def unapplied(self) -> list[Json]:
        return [patch for index, patch in enumerate(self.patches) if index not in self.applied]

    def listeners(self, listeners: list[Json], context: str | None) -> list[Json]:
        """The listeners of a context, with everything in them, as the patches want them."""
        kept = [listener for listener in deepcopy(listeners) if self._listener(listener, context)]
        return kept + self._added("LISTENER", context)

    def clusters(self, clusters: list[Json], context: str | None) -> list[Json]:
        """The upstream clusters of a context likewise."""
        result = []
        for cluster in deepcopy(clusters):
            for patch in self._of("CLUSTER", context, "REMOVE", "MERGE", where=_matches_cluster(cluster)):
                if patch["patch"]["operation"] == "REMOVE":
                    break
                merge(cluster, patch["patch"]["value"])
            else:
                result.append(cluster)
        return result + self._added("CLUSTER", context)

    def _added(self, apply_to: str, context: str | None) -> list[Json]:
        return [deepcopy(patch["patch"]["value"]) for patch in self._of(apply_to, context, "ADD")]

    def extension_configs(self, names: Iterable[str]) -> list[Json]:
        """The added extension configurations with one of these names; istiod looks at no context here."""

        def wanted(patch: Json) -> bool:
            return patch["patch"]["value"]["name"] in names

        return [deepcopy(patch["patch"]["value"]) for patch in self._of("EXTENSION_CONFIG", None, "ADD", where=wanted)]

    def _listener(self, listener: Json, context: str | None) -> bool:
        """Patches a listener in place; false if it is to go."""

        def here(patch: Json) -> bool:
            return _listener_match(patch).get("name") in (None, listener["name"])

        for patch in self._of("LISTENER", context, "REMOVE", "MERGE", where=here):
            if patch["patch"]["operation"] == "REMOVE":
                return False
            merge(listener, patch["patch"]["value"])
        for chain in listener["filter_chains"]:
            self._filter_chain(chain, context, here)
        return True

    def _filter_chain(self, chain: Json, context: str | None, in_listener: Where) -> None:
        def here(patch: Json) -> bool:
            return in_listener(patch) and _fits_chain(patch, chain)

        def in_manager(patch: Json) -> bool:
            return here(patch) and _network_filter_name(patch) in (None, HTTP_CONNECTION_MANAGER)

        self._filters(chain["filters"], "NETWORK_FILTER", context, here, _network_filter_name)
        for network_filter in chain["filters"]:
            if network_filter["name"] == HTTP_CONNECTION_MANAGER:
                http_filters = network_filter["typed_config"]["http_filters"]
                self._filters(http_filters, "HTTP_FILTER", context, in_manager, _http_filter_name)

    def _filters(
        self,
        filters: list[Json],
        apply_to: str,
        context: str | None,
        where: Where,
        name_in: Callable[[Json], str | None],
    ) -> None:
        """Patches a list of filters in place; `name_in` is the name of a filter that a patch asks for, if any."""
        operations = ("ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER", "REPLACE", "REMOVE")
        for patch in self._of(apply_to, context, *operations, where=where, note=False):
            name = name_in(patch)
            value = patch["patch"].get("value")
            places = [index for index, one in enumerate(filters) if one["name"] == name]
            match patch["patch"]["operation"]:
                case "ADD":
                    filters.append(deepcopy(value))
                case "INSERT_FIRST":
                    filters.insert(0, deepcopy(value))
                # Without a name, before the first and behind the last.
                case "INSERT_BEFORE" if name is None:
                    filters.insert(0, deepcopy(value))
                case "INSERT_AFTER" if name is None:
                    filters.append(deepcopy(value))
                case "INSERT_BEFORE" if places:
                    filters.insert(places[0], deepcopy(value))
                case "INSERT_AFTER" if places:
                    filters.insert(places[0] + 1, deepcopy(value))
                case "REPLACE" if places:
                    filters[places[0]] = deepcopy(value)
                case "REMOVE" if places:
                    filters[:] = [one for one in filters if one["name"] != name]
                case _:
                    continue
            self._note(patch)
        # Merging comes after everything else, whatever the order of the patches.
        for patch in self._of(apply_to, context, "MERGE", where=where, note=False):
            for one in filters:
                # What is discovered elsewhere has nothing here to merge with.
                if name_in(patch) in (None, one["name"]) and "typed_config" in one:
                    merge(one, patch["patch"]["value"])
                    self._note(patch)

    def _of(
        self, apply_to: str, context: str | None, *operations: str, where: Where = lambda _: True, note: bool = True
    ) -> Iterator[Json]:
        for patch in self.patches:
            wanted = patch.get("match", {}).get("context", "ANY")
            if (
                patch["applyTo"] == apply_to
                and patch["patch"]["operation"] in operations
                and (context is None or wanted in ("ANY", context))
                and where(patch)
            ):
                if note:
                    self._note(patch)
                yield patch

    def _note(self, patch: Json) -> None:
        self.applied.add(next(index for index, one in enumerate(self.patches) if one is patch))


def _selects(envoy_filter: Json, metadata: Json, root_namespace: str) -> bool:
    """In the root namespace for every proxy, elsewhere for that namespace's; of these, by labels."""
    for patch in envoy_filter["spec"]["configPatches"]:
        assert patch["applyTo"] in _APPLY_TO, f"{patch['applyTo']} is beyond these tests"
    if envoy_filter["metadata"]["namespace"] not in (root_namespace, metadata["NAMESPACE"]):
        return False
    wanted = envoy_filter["spec"].get("workloadSelector", {}).get("labels", {})
    return wanted.items() <= metadata["LABELS"].items()


def _age(envoy_filter: Json, root_namespace: str) -> tuple[bool, str, str, str]:
    metadata = envoy_filter["metadata"]
    in_root = metadata["namespace"] == root_namespace
    return not in_root, metadata.get("creationTimestamp", ""), metadata["name"], metadata["namespace"]


def _fits_proxy(match: Json, metadata: Json) -> bool:
    proxy = match.get("proxy", {})
    if "proxyVersion" in proxy:
        # A proxy that does not tell its version fits no pattern.
        version = metadata.get("ISTIO_VERSION")
        if not version or not re.search(proxy["proxyVersion"], version):
            return False
    return proxy.get("metadata", {}).items() <= metadata.items()


def _listener_match(patch: Json) -> Json:
    return patch.get("match", {}).get("listener", {})


def _fits_chain(patch: Json, chain: Json) -> bool:
    match = _listener_match(patch).get("filterChain", {})
    port = _listener_match(patch).get("portNumber")
    unknown = match.keys() - {"name", "filter"}
    assert not unknown, f"a filter chain match by {unknown} is beyond these tests"
    chain_port = chain.get("filter_chain_match", {}).get("destination_port")
    return match.get("name") in (None, chain.get("name")) and port in (None, chain_port)


def _network_filter_name(patch: Json) -> str | None:
    return _listener_match(patch).get("filterChain", {}).get("filter", {}).get("name")


def _http_filter_name(patch: Json) -> str | None:
    return _listener_match(patch).get("filterChain", {}).get("filter", {}).get("subFilter", {}).get("name")


def _matches_cluster(cluster: Json) -> Where:
    def matches(patch: Json) -> bool:
        match = patch.get("match", {}).get("cluster", {})
        unknown = match.keys() - {"name", "service"}
        assert not unknown, f"a cluster match by {unknown} is beyond these tests"
        if "name" in match:
            return match["name"] == cluster["name"]
        return match.get("service") in (None, cluster["name"].rpartition("|")[2])

    return matches


def merge(into: Json, value: Json) -> None:
    """As protobuf merges: messages field by field, lists one behind the other."""
    for key, new in value.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            merge(old, new)
        elif isinstance(old, list) and isinstance(new, list):
            old.extend(deepcopy(new))
        else:
            into[key] = deepcopy(new)
