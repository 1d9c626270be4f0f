"""A released file's software bill of materials: CycloneDX, JSON."""

import hashlib
import uuid
from collections.abc import Iterable

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from scripts.dist.crates import Crate
from scripts.dist.product import Product

# What the standard library brings for targets that end so. With glibc it takes the machine's.
LIBC = {"wasip1": "wasi-libc", "musl": "musl"}


def bill(product: Product, content: bytes, crates: Iterable[Crate], version: str, rustc: str) -> str:
    """Of `content`, which is the product at `version`, made of `crates` and of the standard library of `rustc`."""
    digest = hashlib.sha256(content).hexdigest()
    whole = Component(
        name=product.file,
        version=version,
        type=ComponentType.FILE,
        bom_ref=product.file,
        description=product.description,
        licenses=[LicenseExpression("Apache-2.0")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    components = {crate.key: _component(crate) for crate in crates}
    libc = LIBC.get(product.target.rpartition("-")[2])
    # Not in Cargo.lock, and in every product: it comes with the compiler.
    std = Component(
        name="std",
        version=rustc,
        type=ComponentType.LIBRARY,
        bom_ref=f"std@{rustc}",
        description=f"Rust's standard library for {product.target}" + (f", with its copy of {libc}" if libc else ""),
        licenses=[LicenseExpression("MIT OR Apache-2.0")],
    )

    # Both would be different each time.
    result = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_OID, digest))
    result.metadata.timestamp = None  # type: ignore[assignment]
    result.metadata.component = whole
    result.components.update([*components.values(), std])
    result.register_dependency(whole, [*components.values(), std])
    for crate in crates:
        result.register_dependency(components[crate.key], [components[key] for key in crate.dependencies])
    return JsonV1Dot6(result).output_as_string(indent=2) + "\n"


def _component(crate: Crate) -> Component:
    references = []
    if crate.repository:
        references = [ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(crate.repository))]
    # The project's own crate is on no registry, so it has no checksum.
    hashes = []
    if crate.checksum:
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=crate.checksum)]
    purl = PackageURL("cargo", name=crate.name, version=crate.version)
    return Component(
        name=crate.name,
        version=crate.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{crate.name}@{crate.version}",
        purl=purl,
        licenses=[LicenseExpression(crate.license)],
        hashes=hashes,
        external_references=references,
    )
