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

    @property
    def is_of_a_processor(self) -> bool:
        """Whether its image is one of several under one name."""
        return self.target.partition("-")[0] in ARCHITECTURES


def products(host: str) -> list[Product]:
    """All of them, those of one image together; `host` is this machine's target, whose native module needs no name."""
    return [
        _wasm("istio_stats", "Istio's standard metrics for any Envoy"),
        _wasm("metadata_exchange", "Exchange of workload metadata with the peer, for istio_stats"),
        *(_native(machine, host) for machine in ARCHITECTURES),
        *map(_command, ARCHITECTURES),
    ]


def _wasm(name: str, description: str) -> Product:
    package = f"{name.replace('_', '-')}-module"
    # The name that Istio's agent looks for.
    return Product(f"{name}.wasm", package, "wasm32-wasip1", description, name, "plugin.wasm")


def _native(machine: str, host: str) -> Product:
    name = "libistio_stats"
    own = f"{name}.so"
    return Product(
        own if host.startswith(f"{machine}-") else f"{name}-{machine}.so",
        "native-module",
        f"{machine}-unknown-linux-gnu",
        "Istio's standard metrics and the exchange, as a native module of Envoy 1.40 and later",
        name,
        own,
        architecture=ARCHITECTURES[machine],
        is_optional=True,
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
