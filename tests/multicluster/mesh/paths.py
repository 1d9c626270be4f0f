"""Where things are."""

from lab.paths import ROOT

COMPOSE_FILE = ROOT / "tests" / "multicluster" / "docker-compose.yaml"
MODULES = ROOT / "dist"
# Configurations and rules, for all three Prometheis.
PROMETHEUS = ROOT / "envoy-config" / "prometheus"
OUT = ROOT / "out" / "multicluster"
# What the containers see as /generated: a configuration each, and the certificates.
GENERATED = OUT / "generated"
CERTIFICATES = GENERATED / "certificates"
LOGS = OUT / "logs"
