"""Lists of stats_tags, for the plugins as a bootstrap configures them."""

import json

import yaml

from lab.bootstrap import stats_tags
from lab.tree import Json
from tests.e2e.harness.command import istio_stats


def stats_tags_of(whole: Json, *options: str) -> list[Json]:
    """The list for the plugin configurations in a bootstrap."""
    return yaml.safe_load(istio_stats("tags", *options, "-", stdin=json.dumps(whole)))["stats_tags"]


def istio_stats_tags(whole: Json | None = None) -> list[Json]:
    """The list as Istio's `extraStatTags` makes it: its expressions match anywhere in a name.

    For the plugin configurations in a bootstrap, or for the labels of `stats_tags`.
    """
    printed = istio_stats("tags", "--istio", *(["-"] if whole else []), stdin=json.dumps(whole))
    _, labels = printed.strip().split(": ")
    build = [tag for tag in stats_tags() if tag["tag_name"] in ("component", "tag")]
    return [{"tag_name": label, "regex": rf"({label}=\.=(.*?);\.;)"} for label in labels.split(",")] + build
