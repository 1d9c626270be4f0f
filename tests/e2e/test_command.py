"""What the `istio-stats` command says is what real proxies do."""

import json
import re

import yaml

from lab.tree import Json
from tests.e2e.harness import clients
from tests.e2e.harness.command import istio_stats
from tests.e2e.harness.customised import Customised
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, NODE_ID
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.standalone import REVIEWS, Logger
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import SHOP

# What Envoy compiles and what it does not, of each kind of thing that an expression can hold.
EXPRESSIONS = [
    *("request.method", "request.headers['x']", "xds.node.metadata.NAME", "node.id", "upstream_peer.app"),
    *("'text'", '"text"', '"""text"""', r"r'\q'", r"'\q'", r"'\x41'", r"'\u00e9'", "b'abc'", "'abc"),
    *("1", "1u", "0x10", "1.5e3", "-1", "-9223372036854775808", "999999999999999999999", "true", "null"),
    *("[]", "{}", "[1,]", "{'a': 1,}", "{'a': 1, 'a': 2}", "f(1,)", "[1", "(a", "a)", ""),
    *("1 + 'a'", "1 % 2", "!true", "!1", "a == b == c", "a && b || c", "a ? b : c", "a ? b", "1 +", "a b", "a = b"),
    *("'a' in ['a']", "a in b in c", "a.b.c[0]['d']", "a.in", "in", "if", "for", "let", "as", "this.x"),
    *("a // comment", "// comment\na", "// comment", "a.?b", "a[?0]", "`a`", ".request.method", "a\n.b"),
    *("has(a.b)", "has(a)", "has(a.b.c) ? 'x' : 'y'", "has(a['b'])", "has()", "a.has(b)"),
    *("[1].exists(x, x > 0)", "[1].all(x, x > 0)", "[1].exists_one(x, x > 0)", "[1].existsOne(x, x > 0)"),
    *("[1].map(x, x)", "[1].map(x, x > 0, x)", "[1].filter(x, x > 0)", "[1].map(x)", "[1].map(x.y, x)"),
    *("{'a': 1}.all(k, v, v > 0)", "[1].transformList(i, v, v)", "[[1]].map(x, x.map(y, y))"),
    *("size('a')", "'a'.size()", "size()", "size('a', 1)", "'a'.size(1)"),
    *("'a'.startsWith('a')", "startsWith('a', 'a')", "'a'.startsWith('a', 'b')", "startsWith('a')"),
    *("'a'.endsWith('a')", "endsWith('a', 'a')", "'a'.contains('a')", "contains('a', 'a')"),
    *("'a'.matches('a')", "matches('a', 'a')", "'a'.matches('(')", "'a'.matches(request.path)", "matches('a')"),
    *("int('1')", "'1'.int()", "int(1, 2)", "uint(1)", "double(1)", "string(1)", "bytes('a')", "bool('true')"),
    *("dyn(1)", "type(1)", "type(1) == int", "duration('1s')", "timestamp('2020-01-01T00:00:00Z')", "string()"),
    *(f"request.time.{name}()" for name in ("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek")),
    *(f"request.time.{name}('UTC')" for name in ("getDayOfYear", "getHours", "getMinutes", "getSeconds")),
    *("request.time.getMilliseconds()", "request.time.getHours('UTC', 1)", "getHours(request.time)", "getDate()"),
    *("request.duration.getMilliseconds()", "request.time.getMilliseconds('UTC')", "request.time.getFullYear('UTC')"),
    *(f"'a'.{name}()" for name in ("lowerAscii", "upperAscii", "trim", "reverse", "quote")),
    *("'a'.split(',')", "'a'.replace('a', 'b')", "'a'.substring(1)", "'a'.indexOf('a')", "'a'.charAt(0)"),
    *("'a'.lastIndexOf('a')", "'a'.format(['a'])", "['a'].join()", "[1].sort()", "[1].distinct()", "[[1]].flatten()"),
    *("[1].slice(0, 1)", "lists.range(3)", "strings.quote('a')", "math.greatest(1, 2)", "math.abs(1)"),
    *("cel.bind(x, 1, x)", "optional.of(1)", "optional.none()", "re.extract('a', 'b')", "base64.encode(b'a')"),
    *("sets.contains([1], [1])", "url('a')", "ip('1.1.1.1')", "unknown()", "false && unknown()", "now()"),
    *("google.protobuf.Struct{}", "google.protobuf.Value{}", "google.protobuf.Timestamp{seconds: 1}"),
    # Nesting: brackets around and operators in between. The first letters tell them apart.
    *(f"'{depth}(' == {'(' * depth}a{')' * depth}" for depth in (10, 25, 28, 29, 30, 40, 90)),
    *(f"'{terms}+' + " + " + ".join(["a"] * terms) for terms in (10, 26, 27, 28, 29, 30, 60)),
    *(f"p{steps}{'.b' * steps}" for steps in (10, 27, 28, 29, 30, 90)),
    *(f"'{depth}[' in {'[' * depth}1{']' * depth}" for depth in (10, 26, 27, 28, 29, 30, 60)),
    *(f"'{depth}-' == {'-(' * depth}a{')' * depth}" for depth in (10, 26, 27, 28, 29, 30, 60)),
    *(f"{'a ? b : ' * length}'{length}?'" for length in (2, 10)),
]
# Characters of an expression that a message of the plugin shows.
EXCERPT = 79


# Of one configuration, each as a label and as a value: of more than 20 mistakes the rest is only counted.
TRIED_AT_ONCE = 10


def test_check_refuses_the_labels_and_values_that_envoy_does(mesh: Mesh, backend: int) -> None:
    parts = [EXPRESSIONS[begin : begin + TRIED_AT_ONCE] for begin in range(0, len(EXPRESSIONS), TRIED_AT_ONCE)]
    configurations = [
        {
            "attachment": "http",
            "definitions": [{"name": f"m{n}", "value": text} for n, text in enumerate(part) if text],
            "metrics": [{"dimensions": {f"l{n}": text for n, text in enumerate(part)}}],
        }
        for part in parts
    ]
    log = _log_of(mesh, backend, *configurations)
    refused = [_refused(stats) for stats in configurations]
    for kind, name, pattern in (
        ("label", "metrics: dimension", r"^metrics\[0\]\.dimensions\.l(\d+)$"),
        ("value", "definitions: value", r"^definitions\[(\d+)\]\.value$"),
    ):
        tried = [[text for text in part if text or kind == "label"] for part in parts]
        by_check = {
            texts[int(found[1])]
            for texts, paths in zip(tried, refused, strict=True)
            for path in paths
            if (found := re.search(pattern, path))
        }
        everything = [text for texts in tried for text in texts]
        by_envoy = {text for text in everything if f"{name}: {_quoted(text)}" in log}
        assert by_check == by_envoy, (
            f"{kind}: only Envoy refuses {by_envoy - by_check}, only check {by_check - by_envoy}"
        )
        assert 60 < len(by_envoy) < len(everything) - 60


def test_check_refuses_the_conditions_that_envoy_does(mesh: Mesh, backend: int) -> None:
    texts = ["a b", "unknown()", "request.method == 'GET'", *(" + ".join(["a"] * terms) for terms in (31, 32, 33))]
    stats = {"attachment": "http", "metrics": [{"match": text, "drop": True} for text in texts]}
    log = _log_of(mesh, backend, stats)
    refused = [text for text in texts if f"metrics: match: {_quoted(text)}" in log]
    # Those of many terms look alike in the log: they are told by their number.
    assert log.count(f"metrics: match: {_quoted(texts[-1])}") == 1
    checked = _refused(stats)
    assert checked == {"metrics[0].match", "metrics[1].match", "metrics[5].match"}
    assert set(texts[:2]) <= set(refused)
    assert texts[2] not in refused


# What `check` takes for a field, and a plain request over HTTP has no value of.
NO_VALUE = {
    "request.id",
    "request.referer",
    "connection.termination_details",
    "connection.transport_failure_reason",
}
# Not in the oldest Envoy.
NEWER = {"request.headers_bytes", "response.headers_bytes"}


def test_check_knows_the_fields_of_attributes_that_envoy_has(mesh: Mesh, backend: int) -> None:
    """Each that it lists has a value, but for what such a request does not have; what it warns of has none."""
    wrong = {"request": "metod", "response": "cod", "connection": "sni", "upstream": "adress", "xds": "cluster_names"}
    listed = {f"{root}.{field}" for root in [*wrong, "source", "destination"] for field in _fields_of(root)}
    listed -= {name for name in listed if "cert" in name or "tls" in name}
    names = sorted(listed | {f"{root}.{field}" for root, field in wrong.items()})
    # Maps and messages cannot be printed: that they are there is enough.
    labels = {name.replace(".", "_"): f"has({name}) ? 'yes' : 'no'" for name in names}
    stats = {"attachment": "http", "metrics": [{"name": "requests_total", "dimensions": labels}]}
    with clients.http1(mesh.start(Customised(west(backend, stats=stats)))) as caller:
        assert caller.get("/").status_code == 200
    mesh.await_total("west", "istio_requests_total", 1)
    (series,) = mesh["west"].families()["istio_requests_total"].series
    values = dict(series)
    absent = {name for name in names if values[name.replace(".", "_")] == "no"}
    assert absent - NEWER == NO_VALUE | {f"{root}.{field}" for root, field in wrong.items()}


def _fields_of(attribute: str) -> list[str]:
    """Those that `check` lists when it meets one that is not like any."""
    stats = {"metrics": [{"dimensions": {"label": f"{attribute}.zzz"}}]}
    printed = istio_stats("check", "--json", "-", stdin=json.dumps(stats))
    (problem,) = json.loads(printed)["problems"]
    return problem["suggestion"].removeprefix(f"{attribute} has: ").split(", ")


def test_peer_header_prints_what_the_exchange_sends(mesh: Mesh, backend: int) -> None:
    # Some of it without quotes.
    metadata = {"CLUSTER_ID": 1, "WORKLOAD_NAME": "frontend", "MESH_ID": 1.5, "LABELS": {"app": True}}
    node = {**SHOP.node(), "metadata": metadata}
    proxy = east(backend, node=node, stats=ABSENT, exchange={"local": {"namespace": "elsewhere"}})
    with clients.http1(mesh.start(proxy)) as caller:
        reached = dict(caller.get("/").json())
    document = json.dumps(proxy.bootstrap())
    assert istio_stats("peer-header", "-", stdin=document).strip() == reached[METADATA]
    assert istio_stats("peer-header", "--id", "-", stdin=document).strip() == reached[NODE_ID]


# What Istio's documentation does with Telemetry, and with generated attributes.
TELEMETRY = """
kind: Telemetry
metadata: { name: mesh-default, namespace: istio-system }
spec:
  metrics:
    - overrides:
        - match: { metric: REQUEST_COUNT, mode: CLIENT }
          tagOverrides:
            operation: { value: istio_operationId }
            source_app: { operation: REMOVE }
        - match: { metric: REQUEST_COUNT, mode: SERVER }
          tagOverrides: { method: { value: request.method }, source_version: { value: "'v' + string(1)" } }
        - match: { metric: REQUEST_SIZE }
          disabled: true
---
kind: WasmPlugin
metadata: { name: attributes, namespace: istio-system }
spec:
  pluginConfig:
    attributes:
      - output_attribute: istio_operationId
        match:
          - { value: List, condition: "request.url_path == '/list' && request.method == 'GET'" }
          - { value: Create, condition: "request.method == 'POST'" }
"""


def test_what_migrate_prints_for_stock_envoys_runs(mesh: Mesh, backend: int) -> None:
    printed = istio_stats("migrate", "--to", "standalone", "-", stdin=TELEMETRY)
    east_content, west_content = yaml.safe_load_all(printed)
    west_envoy = mesh.run(Logger("west", {18003: backend}, content=west_content))
    mesh.run(Logger("east", {18002: west_envoy.port("inbound")}, content=east_content))
    with clients.http1(mesh["east"].port("outbound"), host=REVIEWS["host"]) as caller:
        for method, path in (("GET", "/list"), ("POST", "/"), ("GET", "/")):
            assert caller.request(method, path).status_code == 200
    for name in ("east", "west"):
        mesh.await_total(name, "istio_requests_total", 3)
        assert "istio_request_bytes" not in mesh[name].families()
        assert "istio_response_bytes" in mesh[name].families()
    source = [dict(labels) for labels in mesh["east"].families()["istio_requests_total"].series]
    assert {labels["operation"] for labels in source} == {"List", "Create", "unknown"}
    assert all("source_app" not in labels and labels["source_workload"] == "frontend-v1" for labels in source)
    destination = [dict(labels) for labels in mesh["west"].families()["istio_requests_total"].series]
    assert {labels["method"] for labels in destination} == {"GET", "POST"}
    assert all(labels["source_version"] == "v1" and "operation" not in labels for labels in destination)


def _log_of(mesh: Mesh, backend: int, stats: Json, *others: Json) -> str:
    """What a proxy with these configurations, each of a listener, writes down."""
    joined = [
        west(backend, name=f"west-{number}", stats=other, upstream_clusters=[]) for number, other in enumerate(others)
    ]
    mesh.start(west(backend, stats=stats, joined=joined, permitted_log="istio-stats: configuration|expr_create"))
    lines = mesh["west"].log().splitlines()
    return "\n".join(line for line in lines if "does not understand" in line)


def _refused(stats: Json) -> set[str]:
    """Paths of the errors that `check` finds in a configuration."""
    printed = istio_stats("check", "--json", "-", stdin=json.dumps(stats), statuses=(0, 1))
    return {problem["path"] for problem in json.loads(printed)["problems"] if problem["level"] == "error"}


def _quoted(text: str) -> str:
    """How the plugin's messages show an expression."""
    return json.dumps(text, ensure_ascii=False)[:EXCERPT]
