# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of the test's own: Debian's binaries, a cluster in a folder, loopback and a socket. It can be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"))
PASSWORD = "a-password-of-a-test"
_AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []


class Postgres:
    """One cluster; each database in it is a test's own."""

    def __init__(self, folder: Path, certificate: tuple[bytes, bytes] | None = None) -> None:
        """``certificate``: chain and key in PEM; with it nobody is let in without TLS."""
        self.folder = folder
        self._options: dict[str, object] = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if _AS_POSTGRES:
            for path in (folder, secret):
                shutil.chown(path, "postgres", "postgres")
        self._run("initdb", "-D", str(folder / "data"), "-U", "edged", "-A", "scram-sha-256", "--pwfile", str(secret),
                  "--no-sync", "-E", "UTF8", "--locale=C")  # fmt: skip
        if certificate is not None:
            self._demand_tls(*certificate)

    def _demand_tls(self, chain: bytes, key: bytes) -> None:
        for name, pem in (("chain.pem", chain), ("key.pem", key)):
            path = self.folder / name
            path.write_bytes(pem)
            path.chmod(0o600)
            if _AS_POSTGRES:
                shutil.chown(path, "postgres", "postgres")
        self._options = {
            "ssl": "on",
            "ssl_cert_file": self.folder / "chain.pem",
            "ssl_key_file": self.folder / "key.pem",
        }
        (self.folder / "data/pg_hba.conf").write_text(
            "local all all scram-sha-256\nhostssl all all all scram-sha-256\n"
        )

    def url(self, database: str) -> str:
        return f"postgresql://edged@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder,
                   "fsync": "off", "shared_buffers": "16MB", "max_connections": 30, **self._options}  # fmt: skip
        with (self.folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                [*_AS_POSTGRES, str(BINARIES / "postgres"), "-D", str(self.folder / "data"),
                 *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))],
                stdout=output, stderr=output, start_new_session=True, cwd="/",
            )  # fmt: skip
        for _ in range(200):
            if self.sql("SELECT 1", check=False) == "1":
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        """As a host that loses its power."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        for line in (self.folder / "data" / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")):
            line.unlink(missing_ok=True)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)

    def sql(self, statement: str, database: str = "postgres", *, check: bool = True) -> str:
        done = subprocess.run(
            [str(BINARIES / "psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U",
             "edged", "-d", database, "-c", statement],
            env={"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def dump(self, database: str) -> str:
        """What ``pg_dump`` makes of it, to take the place of what will be there."""
        return self._client("pg_dump", "--clean", "--if-exists", "-d", database)

    def restore(self, database: str, dump: str) -> None:
        """``dump`` in the place of what is there."""
        self._client("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", database, said=dump)

    def _client(self, program: str, *arguments: str, said: str = "") -> str:
        done = subprocess.run(
            [str(BINARIES / program), "-h", "127.0.0.1", "-p", str(self.port), "-U", "edged", *arguments], input=said,
            env={"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def place(self) -> str:
        """What PostgreSQL's own program says of the cluster: its identifier and its timeline."""
        done = subprocess.run(
            [*_AS_POSTGRES, str(BINARIES / "pg_controldata"), str(self.folder / "data")], check=True,
            capture_output=True, text=True, cwd="/", env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        )  # fmt: skip
        said = dict(line.split(":", 1) for line in done.stdout.splitlines())
        named = ("Database system identifier", "Latest checkpoint's TimeLineID")
        return "/".join(said[name].strip() for name in named)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([*_AS_POSTGRES, str(BINARIES / program), *arguments], check=True, capture_output=True, cwd="/")


@contextmanager
def postgres_at_work(certificate: tuple[bytes, bytes] | None = None) -> Iterator[Postgres]:
    """A cluster at work in a folder of its own, which is gone afterwards; ``certificate`` as of ``Postgres``."""
    with tempfile.TemporaryDirectory(prefix="edged-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "cluster", certificate)
        server.start()
        try:
            yield server
        finally:
            server.stop()
