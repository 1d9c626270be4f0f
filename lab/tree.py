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


def native_plugins(tree: Any, name: str | None = None) -> Iterator[Json]:
    """The same of those in the native form. Any that is not the exchange is the stats plugin."""
    filters = (node for node in nodes(tree) if "dynamic_module_config" in node and "filter_name" in node)
    exchange = "metadata_exchange"
    return (one for one in filters if name is None or (one["filter_name"] == exchange) == (name == exchange))


def configurations(tree: Any, name: str | None = None) -> Iterator[Json]:
    """What the plugins are configured with, in either form, of all or of this name."""
    yield from (plugin["configuration"] for plugin in plugins(tree, name))
    yield from (plugin["filter_config"] for plugin in native_plugins(tree, name) if "filter_config" in plugin)


def configure(tree: Any, name: str | None = None, **fields: Any) -> None:
    """Sets fields in the configurations, JSON in a text, of all plugins or of those with this name."""
    for configuration in configurations(tree, name):
        configuration["value"] = json.dumps({**json.loads(configuration["value"]), **fields})
