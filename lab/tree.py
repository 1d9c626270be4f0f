"""What stands anywhere in a configuration, as plain dictionaries and lists."""

import json
from collections.abc import Iterator
from typing import Any

# A part of a configuration: what its values are is up to its readers.
Json = dict[str, Any]


def nodes(tree: Any) -> Iterator[Json]:
    """Every dictionary, the outer before the inner."""
    if isinstance(tree, dict):
        yield tree
        tree = tree.values()
    elif not isinstance(tree, list):
        return
    for child in tree:
        yield from nodes(child)


def values(tree: Any, key: str) -> Iterator[Any]:
    """The value of each such key."""
    return (node[key] for node in nodes(tree) if key in node)


def plugins(tree: Any, name: str | None = None) -> Iterator[Json]:
    """The configurations of Wasm plugins, of all or of this name."""
    return (node for node in nodes(tree) if "vm_config" in node and name in (None, node["name"]))


def configurations(tree: Any, name: str | None = None) -> Iterator[Json]:
    """What the plugins are configured with, in either form, of all or of this name."""
    for node in nodes(tree):
        if name in (None, node.get("name")):
            if "vm_config" in node:
                yield node["configuration"]
            elif isinstance(config := node.get("typed_config"), dict) and "filter_config" in config:
                yield config["filter_config"]


def configure(tree: Any, name: str | None = None, **fields: Any) -> None:
    """Sets fields in the configurations, JSON in a text, of all plugins or of those with this name."""
    for configuration in configurations(tree, name):
        configuration["value"] = json.dumps({**json.loads(configuration["value"]), **fields})
