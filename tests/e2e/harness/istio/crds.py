"""The published schemas of the resources (tests/istio/schemas). Structural: a field
that a schema does not know is an error, as `kubectl apply --validate=strict` makes it."""

from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from lab.paths import ROOT
from lab.tree import Json

SCHEMAS = ROOT / "tests" / "istio" / "schemas"
_ENVELOPE = {"apiVersion", "kind", "metadata", "spec"}


def problems(resource: Json) -> list[str]:
    """What is wrong with a resource, one line each."""
    known = _schemas().get(resource.get("kind", ""))
    if known is None:
        return [f"no schema of kind {resource.get('kind')!r} in {SCHEMAS}"]
    api_version, validator = known
    lines = [f"{field}: unknown field" for field in resource.keys() - _ENVELOPE]
    if resource["apiVersion"] != api_version:
        lines.append(f"apiVersion: is {resource['apiVersion']}, expected {api_version}")
    errors = validator.iter_errors(resource.get("spec", {}))
    return lines + [f"spec.{error.json_path.removeprefix('$.')}: {error.message}" for error in errors]


@cache
def _schemas() -> dict[str, tuple[str, Draft202012Validator]]:
    found = {}
    for path in SCHEMAS.glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        found[content["kind"]] = (content["apiVersion"], Draft202012Validator(_closed(content["spec"])))
    return found


def _closed(schema: Any) -> Any:
    """The schema, refusing fields it does not name where it names any."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items() if key not in ("properties", "nullable")}
    if "properties" in schema:
        closed["properties"] = {name: _closed(one) for name, one in schema["properties"].items()}
        if schema.get("type") == "object" and "x-kubernetes-preserve-unknown-fields" not in schema:
            closed.setdefault("additionalProperties", False)
    if schema.get("nullable"):
        return {"anyOf": [closed, {"type": "null"}]}
    return closed
