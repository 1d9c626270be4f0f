"""What a Mesh can start."""

from collections.abc import Sequence
from typing import Any, Protocol

from lab.tree import Json


class Runnable(Protocol):
    """A proxy as a test describes it."""

    @property
    def name(self) -> str: ...

    @property
    def workers(self) -> int: ...

    @property
    def arguments(self) -> Sequence[str]:
        """Further ones for Envoy's command line."""
        ...

    @property
    def expected_log(self) -> Sequence[str]: ...

    @property
    def permitted_log(self) -> str | None: ...

    def bootstrap(self) -> Json: ...


class Wrapper:
    """A proxy that is as another one, but for what a subclass changes."""

    def __init__(self, sidecar: Runnable) -> None:
        self.sidecar = sidecar

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sidecar, name)
