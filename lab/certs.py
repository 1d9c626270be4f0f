"""A certificate authority and SPIFFE certificates for mutual TLS."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Identity:
    """Files of a certificate, its key and who vouches for it."""

    certificate: str
    key: str
    authority: str


class Authority:
    """Issues certificates to workloads, whose name is a SPIFFE ID, and to hosts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mesh-root")])
        own = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self._file = self._write("root.pem", _pem(own.sign(self._key, hashes.SHA256())))

    def issue(self, spiffe_id: str) -> Identity:
        return self._issue(spiffe_id.rpartition("/")[2], x509.UniformResourceIdentifier(spiffe_id))

    def issue_for_host(self, host: str) -> Identity:
        """As certificates outside of meshes are: without a SPIFFE ID."""
        return self._issue(host, x509.DNSName(host))

    def _issue(self, name: str, alternative_name: x509.GeneralName) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        san = x509.SubjectAlternativeName([alternative_name])
        certificate = self._builder(subject, key).add_extension(san, False).sign(self._key, hashes.SHA256())
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Identity(
            certificate=self._write(f"{name}.pem", _pem(certificate)),
            key=self._write(f"{name}.key", key_pem),
            authority=self._file,
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    def _write(self, name: str, pem: bytes) -> str:
        path = self._directory / name
        path.write_bytes(pem)
        return str(path)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
