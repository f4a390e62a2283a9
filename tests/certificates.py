"""Certificates for a test: an authority, and what it has signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_HOUR = timedelta(hours=1)


def write_certificates(
    directory: Path,
    address: str = "127.0.0.1",
    since: timedelta = -_HOUR,
    until: timedelta = _HOUR,
) -> None:
    """
    Write ``ca.pem``, and ``server.pem`` and ``server.key`` for an address.

    Args:
        directory: Where to; made if it does not exist.
        address: For whom the certificate is.
        since: From when on it is good, seen from now.
        until: To when.
    """
    directory.mkdir(parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _name("authority")
    now = datetime.now(UTC)

    def signed(builder: x509.CertificateBuilder) -> bytes:
        certificate = (
            builder.issuer_name(authority)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + until)
            .sign(authority_key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)

    (directory / "ca.pem").write_bytes(
        signed(
            x509.CertificateBuilder()
            .subject_name(authority)
            .public_key(authority_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        )
    )
    (directory / "server.pem").write_bytes(
        signed(
            x509.CertificateBuilder()
            .subject_name(_name("server"))
            .public_key(key.public_key())
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]),
                False,
            )
        )
    )
    (directory / "server.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def write_chain(directory: Path) -> None:
    """
    Write what certbot does, ``privkey.pem`` and ``fullchain.pem`` among it.

    ``ca.pem`` has signed ``chain.pem``, which has signed ``cert.pem``, for 127.0.0.1.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = "authority", "intermediate", "server"
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in names]
    issuers = [(names[0], keys[0]), *zip(names, keys, strict=True)]
    now = datetime.now(UTC)
    made = []
    for name, key, (issuer, issuers_key) in zip(names, keys, issuers, strict=False):
        extension: x509.ExtensionType = x509.BasicConstraints(True, None)
        if name == "server":
            address = x509.IPAddress(IPv4Address("127.0.0.1"))
            extension = x509.SubjectAlternativeName([address])
        signed = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _HOUR)
            .not_valid_after(now + _HOUR)
            .add_extension(extension, name != "server")
            .sign(issuers_key, hashes.SHA256())
        )
        made.append(signed.public_bytes(Encoding.PEM))
    authority, intermediate, server = made
    (directory / "ca.pem").write_bytes(authority)
    (directory / "chain.pem").write_bytes(intermediate)
    (directory / "cert.pem").write_bytes(server)
    (directory / "fullchain.pem").write_bytes(server + intermediate)
    (directory / "privkey.pem").write_bytes(
        keys[2].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_certificate(certificate: Path, key: Path) -> None:
    """Write a certificate for ``localhost``, and its key, which may be one file."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = _name("localhost")
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(secret, hashes.SHA256())
    )
    private = secret.private_bytes(
        Encoding.PEM,
        PrivateFormat.PKCS8,
        NoEncryption(),
    )
    public = signed.public_bytes(Encoding.PEM)
    if certificate == key:
        certificate.write_bytes(public + private)
    else:
        certificate.write_bytes(public)
        key.write_bytes(private)
