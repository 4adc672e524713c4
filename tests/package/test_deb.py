"""The Debian package in a root of its suite. Root; `make test-deb` builds both.

The tests from the installation on are one life, in their order: each goes on where the one before has ended. The
root has no systemd: what the package asks of it is read from the record of a stand-in. edged itself runs as the user
that the package made, with the two capabilities of its unit, in a network namespace.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PACKAGES = Path(os.environ.get("PACKAGES", ".run/deb")).resolve()
SUITE = os.environ.get("SUITE", "bookworm")
RELEASE, PYTHON, SCAPY = {
    "bookworm": ("deb12", "python3.11", ""),
    "trixie": ("deb13", "python3.13", "python3-scapy (>= 2.6)"),
}[SUITE]
NET = f"edged-deb-{os.getpid()}"
NEWER = "9.0.0"
INSIDE = "var/cache/edged.deb"
CONFIG = "/etc/edged/edged.yaml"
WANTED = "etc/systemd/system/multi-user.target.wants/edged.service"
DROP_IN = "etc/systemd/system/edged.service.d/override.conf"
SYSTEMCTL = '#!/bin/sh\necho "$@" >> /run/systemd/asked\n'
PASSING = re.compile(
    r"/(var/cache|var/log|var/lib/dpkg|run|tmp|proc)(/|$)|/etc/(passwd|group|shadow|gshadow|subuid|subgid)"
)
"""What dpkg and adduser keep for themselves: the user stays when a package goes."""
BILLING = """\
known: 400
subscribers: [{id: "20417", state: blocked, reason: unpaid, addresses: ["100.64.7.9", "2001:db8:100:700::/56"]}]
"""


def done(*command: str | Path, status: int = 0) -> str:
    ended = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100
    )
    assert ended.returncode == status, f"{command}: {ended.returncode}\n{ended.stdout}"
    return ended.stdout


class Root:
    """A Debian in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def command(self, *words: str) -> list[str]:
        """What runs ``words`` in it, with processes, mounts and a network apart from ours."""
        mounted = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", mounted, str(self.path)]
        return ["ip", "netns", "exec", NET, *apart, *words]

    def run(self, *words: str, status: int = 0) -> str:
        return done(*self.command(*words), status=status)

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def at(self, name: str) -> str:
        """Mode and owner."""
        return self.run("stat", "-c", "%a %U:%G", name).strip()

    def files(self) -> set[str]:
        """Path, type, mode and owner of everything that is not the package system's own."""
        listed = done("find", self.path, "-xdev", "-printf", "/%P %y %m %U:%G\n").splitlines()
        return {line for line in listed if not PASSING.match(line)}

    def kept(self) -> dict[str, bytes]:
        """What is the operator's and edged's own."""
        folders = (self.path / "etc/edged", self.path / "etc/systemd", self.path / "var/lib/edged")
        return {str(file): file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}

    def asked(self) -> list[str]:
        """What was asked of systemd since the last look."""
        record = self.path / "run/systemd/asked"
        words = record.read_text().splitlines() if record.exists() else []
        record.write_text("")
        return words

    def tables(self) -> str:
        return self.run("nft", "list", "tables")

    @contextmanager
    def edged(self) -> Iterator[str]:
        """The daemon, ready, as its unit starts it; the answer of /healthz."""
        run = self.path / "run/edged"
        run.mkdir(exist_ok=True)
        owner = (self.path / "var/lib/edged").stat()
        os.chown(run, owner.st_uid, owner.st_gid)
        rights = "+net_admin,+net_bind_service"
        become = ["setpriv", "--reuid", "edged", "--regid", "edged", "--init-groups"]
        become += ["--inh-caps", rights, "--ambient-caps", rights, "--bounding-set", f"-all,{rights}", "--no-new-privs"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            notify = run / "notify"
            notify.unlink(missing_ok=True)
            told.bind(str(notify))
            notify.chmod(0o666)
            told.settimeout(60)
            words = self.command(*become, "env", "NOTIFY_SOCKET=/run/edged/notify", "/usr/bin/edged", "run")
            with subprocess.Popen(words, stdout=subprocess.DEVNULL) as daemon:
                try:
                    while b"READY=1" not in told.recv(4096):
                        pass
                    question = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9300/healthz').status)"
                    yield self.run(PYTHON, "-c", question).strip()
                finally:
                    (child,) = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
                    os.kill(int(child), signal.SIGTERM)
                    assert daemon.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def package() -> Path:
    return (PACKAGES / SUITE / "edged.deb").resolve(strict=True)


@pytest.fixture(scope="module")
def newer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recipe's next version: its number in both places, and all else as it is."""
    unpacked = tmp_path_factory.mktemp("newer") / "root"
    done("dpkg-deb", "-R", package, unpacked)
    control, (module,) = (
        unpacked / "DEBIAN/control",
        unpacked.glob("usr/lib/edged/lib/*/site-packages/edged/__init__.py"),
    )
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {NEWER}+{RELEASE}", control.read_text()))
    module.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{NEWER}"', module.read_text()))
    done("dpkg-deb", "--root-owner-group", "-Znone", "-b", unpacked, unpacked.parent)
    (built,) = unpacked.parent.glob("*.deb")
    return built


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    folder = tmp_path_factory.mktemp("debian") / "root"
    done("cp", "-a", PACKAGES / SUITE / "base", folder)
    made = Root(folder)
    made.write("etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n")
    made.write("usr/bin/systemctl", SYSTEMCTL)
    (folder / "usr/bin/systemctl").chmod(0o755)
    (folder / "run/systemd/system").mkdir(parents=True)
    done("ip", "netns", "add", NET)
    try:
        done("ip", "-n", NET, "link", "set", "lo", "up")
        done("ip", "-n", NET, "link", "add", "lan0", "up", "type", "bridge")
        yield made
    finally:
        done("ip", "netns", "delete", NET)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def before(root: Root) -> set[str]:
    return root.files()


# --- what it is ----------------------------------------------------------------------------------


def test_it_holds_edged_its_libraries_and_its_compiled_parts_and_nothing_of_scapy(
    package: Path, tmp_path: Path
) -> None:
    done("dpkg-deb", "-x", package, tmp_path)
    site = tmp_path / f"usr/lib/edged/lib/{PYTHON}/site-packages"
    links = [path for path in tmp_path.rglob("*") if "scapy" in path.name]
    modules = {path.name.partition(".")[0] for path in site.iterdir()}

    assert {"aiohttp", "acme", "pydantic_core", "_cffi_backend"} <= modules
    assert len(list((site / "edged/native").glob("*.abi3.so"))) == 2
    assert [str((site / link.readlink()).resolve()) for link in links] == (
        [f"{tmp_path}/usr/lib/python3/dist-packages/scapy"] if SCAPY else []
    ), "a link to where Debian's would be"
    assert {link.parent for link in links} <= {site}
    assert not [path for path in tmp_path.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"]


def test_man_shows_the_command_and_the_configuration(package: Path, tmp_path: Path) -> None:
    done("dpkg-deb", "-x", package, tmp_path)
    pages = {
        path.name: gzip.decompress(path.read_bytes()).decode() for path in tmp_path.glob("usr/share/man/man?/*.gz")
    }

    assert {"edged.1.gz", "edged.yaml.5.gz"} == set(pages)
    assert "edged explain" in pages["edged.1.gz"]
    assert r"billing.poll.changes" in pages["edged.yaml.5.gz"]
    for text in pages.values():
        assert re.search(r'^\.TH EDGED\S* [15] "\d{4}-\d\d-\d\d" ', text, re.MULTILINE)


def test_every_file_belongs_to_root_and_none_is_written_by_others_and_none_is_in_etc(package: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacked:
        assert unpacked.stdout is not None
        with tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
            members = list(tar)

    assert {(member.uname, member.gname) for member in members} == {("root", "root")}
    assert not [member.name for member in members if member.mode & 0o6022 and not member.issym()]
    assert not [member.name for member in members if not re.match(r"\.(/usr(/.*)?)?$", member.name)]
    assert len({member.mtime for member in members}) == 1


def test_it_depends_on_the_interpreter_that_its_libraries_are_for(package: Path) -> None:
    depends = done("dpkg-deb", "-f", package, "Depends").strip().split(", ")
    names = {word.partition(" ")[0] for word in depends}

    assert names == {"libc6", "libgcc-s1", PYTHON, "adduser", "ca-certificates", "iproute2"}
    assert done("dpkg-deb", "-f", package, "Suggests").strip() == SCAPY


# --- its life ------------------------------------------------------------------------------------


def test_the_installation_makes_user_and_folders_and_starts_nothing(
    root: Root, package: Path, before: set[str]
) -> None:
    shutil.copy(package, root.path / INSIDE)
    assert not [line for line in before if "/edged" in line]

    said = root.run("dpkg", "-i", f"/{INSIDE}").splitlines()

    assert said[-1] == "edged is installed, and does not run before it is configured. Next:  edged init"
    assert root.asked() == ["--system daemon-reload"]
    assert not (root.path / WANTED).is_symlink()
    assert root.at("/etc/edged") == "750 root:edged"
    assert root.at("/etc/edged/secrets") == "700 edged:edged"
    assert root.at("/var/lib/edged") == "750 edged:edged"
    assert root.run("getent", "passwd", "edged").endswith(":/var/lib/edged:/usr/sbin/nologin\n")
    # what the daemon loads was compiled by its own interpreter: it may not write there
    modules = root.path / f"usr/lib/edged/lib/{PYTHON}/site-packages/edged"
    assert len(list(modules.glob("__pycache__/*.pyc"))) == len(list(modules.glob("*.py")))


def test_it_starts_with_what_init_wrote_as_its_user_and_is_healthy(root: Root) -> None:
    root.run("edged", "init", "--site", "tower-12", "--interface", "lan0")
    assert root.at(CONFIG) == "640 root:edged"
    root.write("etc/edged/billing.yaml", BILLING)
    assert f"{CONFIG} is good" in root.run("edged", "check")

    with root.edged() as health:
        assert health == "200"
        held = re.search(r"edged sync --accept (\S+)", root.run("edged", "sync", status=1))
        assert held is not None
        root.run("edged", "sync", "--accept", held[1])
        status = root.run("edged", "status")
        assert "compiled" in status
        assert "no compiled part" not in status
    assert "inet edged" not in root.tables(), "it watches"


def test_an_upgrade_keeps_what_is_there_and_restarts(root: Root, newer: Path) -> None:
    config = (root.path / "etc/edged/edged.yaml").read_text()
    root.write("etc/edged/edged.yaml", re.sub(r"(?m)^mode: watch.*", "mode: enforce  # since Monday", config))
    root.write(DROP_IN, "[Service]\nMemoryMax=1G\n")
    (root.path / WANTED).parent.mkdir(parents=True, exist_ok=True)
    (root.path / WANTED).symlink_to("/usr/lib/systemd/system/edged.service")
    root.run("chmod", "711", "/etc/edged")
    shutil.copy(newer, root.path / INSIDE)
    kept = root.kept()

    root.run("dpkg", "-i", f"/{INSIDE}")

    assert root.asked() == ["--system daemon-reload", "try-restart edged.service"]
    assert root.kept() == kept
    assert root.at("/etc/edged") == "711 root:edged"
    assert root.run("edged", "--version") == f"edged {NEWER}\n"
    with root.edged() as health:
        assert health == "200"
        # what a person accepted of the older version's reading is in force
        ends = time.monotonic() + 30
        while "100.64.7.9" not in root.run("nft", "list", "ruleset") and time.monotonic() < ends:
            pass
        assert "100.64.7.9" in root.run("nft", "list", "ruleset")


def test_an_upgrade_that_would_refuse_the_configuration_leaves_the_older_daemon_running(root: Root) -> None:
    config = (root.path / "etc/edged/edged.yaml").read_text()
    root.write("etc/edged/edged.yaml", config + "no-such-key: 1\n")
    as_dpkg = ("env", "DPKG_MAINTSCRIPT_PACKAGE=edged", "/var/lib/dpkg/info/edged.postinst", "configure")
    try:
        said = root.run(*as_dpkg, f"{NEWER}+{RELEASE}")
    finally:
        root.write("etc/edged/edged.yaml", config)

    assert said == f"edged was not restarted: this version refuses {CONFIG}. Next:  edged check\n"
    assert root.asked() == ["--system daemon-reload"]


def test_removal_stops_it_and_leaves_configuration_state_and_table(root: Root) -> None:
    kept = root.kept()

    said = root.run("dpkg", "--remove", "edged")

    assert "Blocked lines stay blocked" in said
    assert root.asked() == ["stop edged.service", "--system daemon-reload"]
    assert root.kept() == kept
    assert "table inet edged\n" in root.tables()
    assert not (root.path / "usr/lib/edged").exists()
    assert not (root.path / "usr/bin/edged").is_symlink()


def test_purging_leaves_the_root_as_it_was_and_no_other_table_is_touched(root: Root, before: set[str]) -> None:
    root.run("nft", "add", "table", "inet", "filter")
    (root.path / DROP_IN).unlink()
    (root.path / DROP_IN).parent.rmdir()

    said = root.run("dpkg", "--purge", "edged")

    assert "warning" not in said
    assert root.tables() == "table inet filter\n"
    assert root.files() ^ before == set()
    assert root.run("getent", "passwd", "edged"), "no later user is to get its number"


def test_purging_asks_nothing_where_there_is_no_packet_filter_and_nothing_was_configured(
    root: Root, package: Path
) -> None:
    shutil.copy(package, root.path / INSIDE)
    root.run("dpkg", "-i", f"/{INSIDE}")

    root.run("sh", "-c", "mv /usr/sbin/nft /usr/sbin/nft.away; dpkg --purge edged")

    assert not (root.path / "etc/edged").exists()
