"""A real S3 server: versitygw, which keeps a bucket's objects as files in a folder. `tests/servers/install` builds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.certificates import Certificate
from tests.servers.process import Server, free_port, listens

ACCESS, SECRET, BUCKET = "driftgate-tests", "not-a-secret-of-anybody", "driftgate"


def gateway() -> Path | None:
    """The program, if it was built."""
    found = sorted((Path(__file__).resolve().parents[2] / ".cache" / "servers").glob("versitygw-*/versitygw"))
    return found[-1] if found else None


class S3Server(Server):
    """One bucket."""

    patience = 20.0

    def __init__(self, folder: Path, *, certificate: Certificate | None = None) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._certificate = certificate
        self.objects = folder / "objects" / BUCKET
        self.objects.mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self) -> str:
        """Without credentials."""
        return f"{'http' if self._certificate is None else 'https'}://127.0.0.1:{self.port}"

    def storage(self, prefix: str = "driftgate") -> Mapping[str, Any]:
        """The section of a configuration; the keys are in files."""
        names = {"access_key_file": ACCESS, "secret_key_file": SECRET}
        for name, content in names.items():
            (self.folder / name).write_text(f"{content}\n", encoding="utf-8")
        files = {name: str(self.folder / name) for name in names}
        return {"type": "s3", "bucket": BUCKET, "prefix": prefix, "endpoint": self.endpoint, **files}

    def files(self) -> list[Path]:
        """Every object of the bucket, as the file that it is; what the server keeps for itself begins with a dot."""
        below = ((path, path.relative_to(self.objects)) for path in self.objects.rglob("*") if path.is_file())
        return sorted(path for path, name in below if name.parts[0][0] != ".")

    def command(self) -> Sequence[str]:
        program = gateway()
        if program is None:
            raise FileNotFoundError("versitygw: make servers builds it")
        tls = [] if self._certificate is None else ["--cert", str(self._certificate.certificate), "--key", str(self._certificate.key)]
        keys = ["--access", ACCESS, "--secret", SECRET]
        return [str(program), "--port", f"127.0.0.1:{self.port}", "--quiet", *keys, *tls, "posix", str(self.objects.parent)]

    def answers(self) -> bool:
        return listens(self.port)
