"""Certificates for servers that speak TLS on loopback."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """Signed by itself, so that it is its own authority."""

    certificate: Path
    key: Path

    def joined(self) -> str:
        """Key and certificate in one text, as Kafka reads them."""
        return self.key.read_text(encoding="ascii") + self.certificate.read_text(encoding="ascii")


def certify(folder: Path) -> Certificate:
    """For 127.0.0.1 and localhost, for two days."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)
    return made


def issue(folder: Path) -> tuple[Certificate, Certificate]:
    """An authority, and a server's certificate that it has signed: clients that take no authority for a server want two."""
    authority, server = (Certificate(folder / f"{name}.pem", folder / f"{name}-key.pem") for name in ("authority", "server"))
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    own = ["-subj", "/CN=Authority of the tests", "-keyout", str(authority.key), "-out", str(authority.certificate)]
    signed = ["-CA", str(authority.certificate), "-CAkey", str(authority.key), "-keyout", str(server.key), "-out", str(server.certificate)]
    for command in ([*request, *own], [*request, "-subj", "/CN=localhost", *names, *signed]):
        subprocess.run(command, check=True, capture_output=True)
    return authority, server
