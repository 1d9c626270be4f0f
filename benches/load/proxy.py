"""One Envoy with one worker thread, and what it costs."""

import json
import time
from pathlib import Path

import envoy
import yaml
from metrics import Snapshot
from processes import Failure, answers_ok

OUT = Path("out/bench")
TYPE = "type.googleapis.com/"
EXTENSION = TYPE + "envoy.extensions."


class Proxy:
    """A running Envoy."""

    def __init__(self, processes, name, configuration):
        self._admin_port = configuration["admin"]["address"]["socket_address"]["port_value"]
        binary = envoy.path()
        self.version = envoy.version(binary)
        OUT.mkdir(parents=True, exist_ok=True)
        path = OUT / f"{name}.envoy.json"
        path.write_text(json.dumps(configuration, indent=2))
        command = [
            binary,
            *("--config-path", str(path)),
            # Envoys side by side would contend for the memory hot restart shares.
            "--disable-hot-restart",
            *("--concurrency", "1"),
            *("--log-level", "warning"),
        ]
        self._process = processes.start(self.version, command, OUT / f"{name}.envoy.log")
        self._process.wait_until(lambda: answers_ok(f"http://127.0.0.1:{self._admin_port}/ready"))

    def cpu_seconds(self):
        """CPU time of the process so far, in the kernel's exact accounting.

        /proc shows it per thread, but in steps of 10 ms. The process has one
        worker; its main thread idles.
        """
        # Linux' clock of another process: see clock_getcpuclockid(3).
        return time.clock_gettime((~self._process.child.pid << 3) | 2)

    def metrics(self):
        return Snapshot.scrape(self._admin_port)


def bootstrap(admin_port, node_metadata, listeners, upstream_clusters):
    tags = yaml.safe_load(Path("envoy-config/stats_tags.yaml").read_text())["stats_tags"]
    return {
        "node": {"id": "bench", "cluster": "bench", "metadata": node_metadata},
        "admin": {"address": address(admin_port)},
        "stats_config": {"stats_tags": tags},
        "static_resources": {"listeners": listeners, "clusters": upstream_clusters},
    }


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def plugin(module, kind, root_id, configuration):
    """One of our modules as a filter; `kind` is http or network."""
    path = Path("dist") / f"{module}.wasm"
    if not path.is_file():
        raise Failure(f"{path} is missing; make build makes it")
    return {
        "name": module,
        "typed_config": {
            "@type": f"{EXTENSION}filters.{kind}.wasm.v3.Wasm",
            "config": {
                "name": module,
                "root_id": root_id,
                "configuration": {"@type": TYPE + "google.protobuf.StringValue", "value": json.dumps(configuration)},
                "failure_policy": "FAIL_OPEN",
                "vm_config": {
                    "vm_id": module,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(path)}},
                },
            },
        },
    }
