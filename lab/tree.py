"""What stands anywhere in a configuration, as plain dictionaries and lists."""

import json


def nodes(tree):
    """Every dictionary, the outer before the inner."""
    if isinstance(tree, dict):
        yield tree
        tree = tree.values()
    elif not isinstance(tree, list):
        return
    for child in tree:
        yield from nodes(child)


def values(tree, key):
    """The value of each such key."""
    return (node[key] for node in nodes(tree) if key in node)


def plugins(tree, name=None):
    """The configurations of Wasm plugins, of all or of this name."""
    return (node for node in nodes(tree) if "vm_config" in node and name in (None, node["name"]))


def configure(tree, name=None, **fields):
    """Sets fields in the configurations, JSON in a text, of all plugins or of those with this name."""
    for plugin in plugins(tree, name):
        configuration = plugin["configuration"]
        configuration["value"] = json.dumps({**json.loads(configuration["value"]), **fields})
