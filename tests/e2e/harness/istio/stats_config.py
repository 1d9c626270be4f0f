"""The `stats_config` of Istio's bootstrap: what its template makes of the mesh's
configuration and of the pod's annotations."""

import json

from lab.tree import Json

# In the order of the template of Istio 1.18 and later.
_BEFORE = [
    ("cluster_name", r"^cluster(\.(.+);)"),
    (
        "http_conn_manager_prefix",
        r"^http\.(((?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*));\.)",
    ),
    ("thread_name", r"^server(\.(.+))\.watchdog"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    (
        "http_conn_manager_listener_prefix",
        r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
    ),
    ("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    ("mongo_prefix", r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"),
]
# Not anchored: they look into the labels of the plugin's stats, too.
_AFTER = [
    ("cache", r"(cache\.(.+?)\.)"),
    ("component", r"(component\.(.+?)\.)"),
    ("tag", r"(tag\.(.+?);\.)"),
    ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
    ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
    ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
]
_REQUIRED_PREFIXES = ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"]
_REQUIRED_SUFFIXES = ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"]


def stats_config(default_config: Json, annotations: Json) -> Json:
    """Of `meshConfig.defaultConfig` and of a pod's annotations."""
    extra = [*default_config.get("extraStatTags", []), *_comma_list(annotations, "extraStatTags")]
    tags = [*_BEFORE, *((tag, rf"({tag}=\.=(.*?);\.;)") for tag in dict.fromkeys(extra)), *_AFTER]
    matcher = default_config.get("proxyStatsMatcher", {})
    prefixes = _comma_list(annotations, "statsInclusionPrefixes") or matcher.get("inclusionPrefixes", [])
    patterns = [
        {"prefix": "reporter="},
        *({"prefix": prefix} for prefix in [*prefixes, *_REQUIRED_PREFIXES]),
        *({"suffix": suffix} for suffix in _REQUIRED_SUFFIXES),
        {"safe_regex": {"regex": r"vhost\..*\.route\..*"}},
        {"prefix": "component"},
        {"prefix": "istio"},
    ]
    config = {
        "use_all_default_tags": False,
        "stats_tags": [{"tag_name": name, "regex": regex} for name, regex in tags],
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    }
    buckets = json.loads(annotations.get("sidecar.istio.io/statsHistogramBuckets", "{}"))
    if buckets:
        config["histogram_bucket_settings"] = [
            {"match": {"prefix": prefix}, "buckets": bounds} for prefix, bounds in sorted(buckets.items())
        ]
    return config


def _comma_list(annotations: Json, name: str) -> list[str]:
    return [one for one in annotations.get(f"sidecar.istio.io/{name}", "").split(",") if one]
