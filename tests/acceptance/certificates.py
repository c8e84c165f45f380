"""Certificates for the tests, made by the ``openssl`` command: a CA, and what it signs for servers and clients."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Pair:
    """PEM files of a certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """A CA of its own in ``folder``."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl command here to make certificates with")
        folder.mkdir()
        self._folder = folder
        self.cert = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._openssl("req", "-x509", *_key(self._key), "-out", self.cert, "-days", "2", "-subj", f"/CN={folder.name}")

    def pair(self, name: str, use: str) -> Pair:
        """A certificate for ``use`` serverAuth (of 127.0.0.1 and localhost) or clientAuth."""
        made = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={use}\n")
        self._openssl("req", "-new", *_key(made.key), "-out", request, "-subj", f"/CN={name}")
        signing = ("-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-days", "2")
        self._openssl("x509", "-req", "-in", request, *signing, "-extfile", extensions, "-out", made.cert)
        return made

    @staticmethod
    def _openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _key(path: Path) -> tuple[object, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path)
