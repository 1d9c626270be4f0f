"""What is released, by file."""

from dataclasses import dataclass

# As images call the processors.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Product:
    """A file that is linked from one of the workspace's packages."""

    file: str
    package: str
    target: str
    description: str
    # The name of the image it is in, and its path there. A program has one image for each processor under one name.
    image: str
    path: str
    # Every image has to name one, also that of a Wasm module, which no processor runs.
    architecture: str = "amd64"
    is_program: bool = False
    # Where it is not built, a release goes on without it.
    is_optional: bool = False


def products(host: str) -> list[Product]:
    """All of them, those of one image together; `host` is this machine's target, for which the native module is."""
    return [
        _wasm("istio_stats", "Istio's standard metrics for any Envoy"),
        _wasm("metadata_exchange", "Exchange of workload metadata with the peer, for istio_stats"),
        _native(host),
        *map(_command, ARCHITECTURES),
    ]


def _wasm(name: str, description: str) -> Product:
    package = f"{name.replace('_', '-')}-module"
    # The name that Istio's agent looks for.
    return Product(f"{name}.wasm", package, "wasm32-wasip1", description, name, "plugin.wasm")


def _native(host: str) -> Product:
    file = "libistio_stats.so"
    description = "Istio's standard metrics and the exchange, as a native module of Envoy 1.40 and later"
    # Any other machine has none.
    architecture = ARCHITECTURES.get(host.partition("-")[0], "amd64")
    return Product(
        file, "native-module", host, description, "libistio_stats", file, architecture=architecture, is_optional=True
    )


def _command(machine: str) -> Product:
    return Product(
        f"istio-stats-linux-{machine}",
        "istio-stats-tools",
        f"{machine}-unknown-linux-musl",
        "The istio-stats command",
        "istio-stats-command",
        "istio-stats",
        architecture=ARCHITECTURES[machine],
        is_program=True,
        is_optional=True,
    )
