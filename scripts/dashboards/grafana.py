"""Builds Grafana's dashboard JSON: panels, variables, and where they stand."""

from collections.abc import Iterable, Mapping, Sequence

from lab.tree import Json

# Grafana 10.0's. Newer ones migrate it when they load it.
SCHEMA_VERSION = 38
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "istio-stats"
# What a link takes along to another dashboard.
KEPT = "${datasource:queryparam}&${reporter:queryparam}&${__url_time_range}"


# From which value on, which colour.
Thresholds = Sequence[tuple[float | None, str]]


def dashboard(uid: str, title: str, description: str, variables: Iterable[Json], panels: list[Json]) -> Json:
    return {
        "annotations": {"list": []},
        "description": description,
        "editable": True,
        "graphTooltip": 1,
        "links": [_links_to_the_others()],
        "panels": _placed(panels),
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["istio", TAG],
        "templating": {"list": [_datasource(), *variables]},
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "",
        "title": title,
        "uid": uid,
        "version": 1,
    }


def _links_to_the_others() -> Json:
    return {
        "asDropdown": False,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "tags": [TAG],
        "targetBlank": False,
        "title": "",
        "tooltip": "",
        "type": "dashboards",
        "url": "",
    }


# === variables ===


def _datasource() -> Json:
    return {
        "current": {},
        "hide": 0,
        "includeAll": False,
        "label": "Prometheus",
        "multi": False,
        "name": "datasource",
        "options": [],
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "type": "datasource",
    }


def choice(name: str, label: str, description: str, values: Sequence[str]) -> Json:
    """One of a few values; the first is the default."""
    options = [{"selected": value == values[0], "text": value, "value": value} for value in values]
    return {
        "current": options[0],
        "description": description,
        "hide": 0,
        "includeAll": False,
        "label": label,
        "multi": False,
        "name": name,
        "options": options,
        "query": ",".join(values),
        "type": "custom",
    }


def label_values(name: str, label: str, selector: str) -> Json:
    """Any values that this Prometheus label has in these series, or all of them."""
    query = f"label_values({selector}, {name})"
    return {
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "options": [],
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    }


# === queries ===


def over_time(legend: str, expr: str) -> Json:
    return {"datasource": DATASOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True}


def once(expr: str) -> Json:
    return {"datasource": DATASOURCE, "editorMode": "code", "expr": expr, "format": "table", "instant": True}


# === panels ===


def row(title: str) -> Json:
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def stat(
    title: str, description: str, unit: str, expr: str, thresholds: Thresholds | None = None, width: int = 4
) -> Json:
    """One number."""
    return {
        **_panel("stat", title, description, [once(expr)], width, 4),
        "fieldConfig": _field_config(unit, thresholds),
        "options": {
            "colorMode": "value" if thresholds else "none",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
        },
    }


def chart(
    title: str,
    description: str,
    unit: str,
    queries: list[Json],
    width: int = 12,
    height: int = 8,
    most: float | None = None,
) -> Json:
    """Lines over time; `most` bounds a ratio's axis."""
    config = _field_config(unit)
    config["defaults"] |= {"custom": {"drawStyle": "line", "fillOpacity": 10, "showPoints": "never"}, "min": 0}
    if most is not None:
        config["defaults"]["max"] = most
    return {
        **_panel("timeseries", title, description, queries, width, height),
        "fieldConfig": config,
        "options": {
            "legend": {"calcs": ["mean", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def matrix(
    title: str,
    description: str,
    unit: str,
    expr: str,
    thresholds: Thresholds | None = None,
    width: int = 8,
    height: int = 8,
) -> Json:
    """A cell for each pair of Kubernetes clusters, the source in the row."""
    transformation = {
        "id": "groupingToMatrix",
        "options": {"columnField": "destination_cluster", "rowField": "source_cluster", "valueField": "Value"},
    }
    return {
        **_panel("table", title, description, [once(expr)], width, height),
        "fieldConfig": _field_config(unit, thresholds, cell="color-background" if thresholds else "auto"),
        "options": {"showHeader": True},
        "transformations": [transformation],
    }


def table(
    title: str,
    description: str,
    keys: Mapping[str, tuple[str, Json | None]],
    values: Sequence[tuple[str, str, str]],
    width: int = 24,
    height: int = 9,
) -> Json:
    """A line for each label set.

    `keys`: column title and link by label. `values`: column title, unit and expression, the first sorts.
    """
    overrides = [_override(heading, links=[link]) for heading, link in keys.values() if link]
    overrides += [_override(heading, unit=unit) for heading, unit, _ in values]
    names = {label: heading for label, (heading, _) in keys.items()}
    names |= {f"Value #{_letter(number)}": heading for number, (heading, _, _) in enumerate(values)}
    queries = [once(expr) for _, _, expr in values]
    config = _field_config("short")
    config["overrides"] = overrides
    return {
        **_panel("table", title, description, queries, width, height),
        "fieldConfig": config,
        "options": {
            "footer": {"enablePagination": True, "show": False},
            "showHeader": True,
            "sortBy": [{"desc": True, "displayName": values[0][0]}],
        },
        "transformations": [
            # One frame for each query, made into one by what they have in common.
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {name: place for place, name in enumerate(names)},
                    "renameByName": names,
                },
            },
        ],
    }


def node_graph(
    title: str, description: str, unit: str, nodes: str, edges: str, width: int = 12, height: int = 14
) -> Json:
    """Nodes need the label `id`, edges `id`, `source` and `target`; the value becomes the number shown.

    The panel reads a column by its own name, which a renaming leaves as it is: a sum over the only column makes one
    that is called mainstat.
    """
    queries = [once(nodes) | {"refId": "nodes"}, once(edges) | {"refId": "edges"}]
    mainstat = {"alias": "mainstat", "mode": "reduceRow", "reduce": {"reducer": "sum"}, "timeSeries": False}
    return {
        **_panel("nodeGraph", title, description, queries, width, height),
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {"edges": {"mainStatUnit": unit}, "nodes": {"mainStatUnit": unit}},
        "transformations": [{"id": "calculateField", "options": mainstat}],
    }


def link(title: str, uid: str, *parameters: str) -> Json:
    """To a dashboard, with these parameters and all that is kept."""
    return {"title": title, "url": f"/d/{uid}?{'&'.join([*parameters, KEPT])}", "targetBlank": False}


def _panel(kind: str, title: str, description: str, queries: list[Json], width: int, height: int) -> Json:
    queries = [{"refId": _letter(number), **query} for number, query in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"h": height, "w": width},
        "targets": queries,
    }


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _field_config(unit: str, thresholds: Thresholds | None = None, cell: str | None = None) -> Json:
    defaults: Json = {"unit": unit}
    if thresholds:
        defaults["color"] = {"mode": "thresholds"}
        steps = [{"color": color, "value": value} for value, color in thresholds]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if cell:
        defaults["custom"] = {"align": "center", "cellOptions": {"type": cell}}
    return {"defaults": defaults, "overrides": []}


def _override(heading: str, **properties: object) -> Json:
    return {
        "matcher": {"id": "byName", "options": heading},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def _placed(panels: list[Json]) -> list[Json]:
    """Left to right, a new line where the next one would not fit or a row begins."""
    placed: list[Json] = []
    x, y, line = 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        size = panel.get("gridPos", {"h": 1, "w": COLUMNS})
        if x + size["w"] > COLUMNS or panel["type"] == "row":
            x, y, line = 0, y + line, 0
        placed.append({**panel, "id": number, "gridPos": {**size, "x": x, "y": y}})
        x, line = x + size["w"], max(line, size["h"])
    return placed


GOOD_RATIO: Thresholds = ((None, "red"), (0.95, "orange"), (0.99, "green"))
NONE_IS_GOOD: Thresholds = ((None, "green"), (1e-9, "orange"))
