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
