"""The image of config/container, judged by skopeo, umoci and runc. Root. `make test-image` builds it before.

The router is the stand-in of tests/routeros: nothing here was seen on RouterOS.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.container_memory import CONFIG, IMAGE_ENVIRONMENT, Running, billing, standing_in

IMAGES = Path(os.environ.get("IMAGES", ".run/image")).resolve()
ARCHES = os.environ.get("ARCH", "amd64").split()
MACHINES = {"amd64": "X86-64", "arm64": "AArch64", "armhf": "ARM"}
HERE = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}[os.uname().machine]
LINES = 10_000
LIMIT = 96 * 2**20 / 1e6
"""MB of a million octets: what docs/container.md says that it fits into."""
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"]


def done(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


# --- what it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ARCHES)
def test_foreign_tools_read_both_forms_and_find_the_same_image(arch: str) -> None:
    archive = json.loads(done("skopeo", "inspect", "--config", f"docker-archive:{IMAGES}/edged-{arch}.tar"))
    layout = json.loads(done("skopeo", "inspect", "--config", f"oci:{IMAGES}/oci-{arch}:latest"))

    assert layout["architecture"] == {"armhf": "arm"}.get(arch, arch)
    assert len(layout["rootfs"]["diff_ids"]) == 1
    assert archive["rootfs"] == layout["rootfs"]
    assert archive["config"] == layout["config"]
    environment = dict(pair.split("=", 1) for pair in layout["config"]["Env"])
    assert environment.items() >= IMAGE_ENVIRONMENT.items(), "the bench measures what the image has"


@pytest.mark.parametrize("arch", ARCHES)
def test_the_archive_is_of_the_old_kind_with_one_plain_layer(arch: str) -> None:
    with tarfile.open(IMAGES / f"edged-{arch}.tar") as archive:
        files = {
            member.name: file.read() for member in archive if (file := archive.extractfile(member)) is not None
        }  # fmt: skip
    (entry,) = json.loads(files["manifest.json"])
    (layer,) = entry["Layers"]
    config, octets = json.loads(files[entry["Config"]]), files[layer]

    assert not {"index.json", "oci-layout"} & set(files)
    assert octets[257:262] == b"ustar", "a tar, not packed"
    assert hashlib.sha256(octets).hexdigest() in layer
    # Docker's word for it, which skopeo does not hand on
    assert config["config"]["Healthcheck"]["Test"][:2] == ["CMD", "/bin/wget"]


@pytest.mark.parametrize("arch", ARCHES)
def test_every_program_and_library_is_of_the_architecture_and_finds_what_it_needs(arch: str) -> None:
    root = IMAGES / f"root-{arch}"
    found, needed = 0, set[str]()
    for path in root.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        head = done("readelf", "-hdW", path)
        found += 1
        assert re.search(rf"Machine:.*\b{MACHINES[arch]}\b", head), path
        needed |= set(re.findall(r"\(NEEDED\).*\[(.+)\]", head))
    there = {path.name for folder in ("lib", "lib64", "usr/lib") for path in (root / folder).rglob("*.so*")}

    assert found > 50
    assert not needed - there
    assert list(root.rglob("_datagrams.abi3.so")), "the compiled parts"


@pytest.mark.parametrize("arch", ARCHES)
def test_nothing_is_compiled_at_the_start_and_every_package_has_its_licence(arch: str) -> None:
    root = IMAGES / f"root-{arch}"

    assert not [path for path in root.rglob("*.py") if path.parent.name not in {"edged", "python3.11"}]
    contents = (root / "usr/share/doc/edged/contents").read_text().splitlines()
    debian = [line.split()[0] for line in contents if " " in line]
    assert len(debian) > 20
    assert not [name for name in debian if not (root / f"usr/share/doc/{name}").exists()]


def test_its_interpreter_and_its_libraries_start_on_every_architecture_that_was_built() -> None:
    """Another machine's under qemu-user; what is imported is all that a daemon beside a router loads."""
    script = (
        "import edged.process, edged.enforce.targets.routeros.target, edged.native.datagrams as d, platform;"
        "print(platform.machine(), d.COMPILED is not None)"
    )
    for arch in ARCHES:
        root, machine = IMAGES / f"root-{arch}", {"amd64": "x86_64", "arm64": "aarch64", "armhf": "arm"}[arch]
        if arch == HERE:
            told = done("chroot", root, "/usr/bin/python3.11", "-I", "-c", script)
        else:
            home = {"PYTHONHOME": f"{root}/usr", "PYTHONPATH": f"{root}/usr/local/lib/python3.11/dist-packages"}
            given = [word for name, value in home.items() for word in ("-E", f"{name}={value}")]
            python = root / "usr/bin/python3.11"
            told = done(f"qemu-{machine}-static", "-L", root, *given, python, "-P", "-c", script)

        assert told.split()[0].startswith(machine)
        assert told.split()[1] == "True", "with the compiled parts"


# --- that it runs --------------------------------------------------------------------------------


class Box:
    """A container under runc: a root that cannot be written, a configuration and a state mounted."""

    def __init__(self, folder: Path, *, capabilities: list[str]) -> None:
        self.name, self.folder = f"edged-test-{os.getpid()}", folder
        self.etc, self.state = folder / "etc", folder / "state"
        for made in (self.etc, self.etc / "secrets", self.state):
            made.mkdir(exist_ok=True)
        bundle = json.loads((folder / "bundle/config.json").read_text())
        bundle["root"]["readonly"] = True
        # in the namespace of the test's own network: the stand-in is there
        bundle["linux"] = {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]}
        ours = {"/etc/edged": self.etc, "/var/lib/edged": self.state}
        others = {"/sys", "/sys/fs/cgroup", *ours}
        bundle["mounts"] = [mount for mount in bundle["mounts"] if mount["destination"] not in others]
        bundle["mounts"] += [
            {"destination": place, "type": "bind", "source": str(source), "options": ["rbind", "rw"]}
            for place, source in ours.items()
        ]
        bundle["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]})
        bundle["process"]["terminal"] = False
        bundle["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), capabilities)
        (folder / "bundle/config.json").write_text(json.dumps(bundle))

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["runc", "exec", self.name, *command], capture_output=True, text=True, timeout=60, check=False
        )

    def pid(self) -> int:
        """Of its first program, which is edged; 0: it does not run."""
        told = subprocess.run(["runc", "state", self.name], capture_output=True, text=True, check=False, timeout=10)
        return int(json.loads(told.stdout)["pid"]) if told.returncode == 0 else 0


@contextmanager
def running(box: Box) -> Iterator[subprocess.Popen[bytes]]:
    log = (box.folder / "log").open("wb")
    with log, subprocess.Popen(
        ["runc", "run", "-b", box.folder / "bundle", box.name], stdin=subprocess.DEVNULL, stdout=log, stderr=log
    ) as process:  # fmt: skip
        try:
            until = time.monotonic() + 20
            while not box.pid():
                assert time.monotonic() < until
                assert process.poll() is None, (box.folder / "log").read_text()
                time.sleep(0.05)
            yield process
        finally:
            subprocess.run(["runc", "delete", "-f", box.name], capture_output=True, check=False, timeout=30)
            process.wait(30)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("container")
    done("umoci", "unpack", "--image", f"{IMAGES}/oci-{HERE}:latest", folder / "bundle")
    return folder


def with_configuration(box: Box, feed: int, router: int) -> None:
    text = CONFIG.format(state="/var/lib/edged", socket="/run/edged", feed=feed, router=router)
    text = text.replace("password: secret", "password: !file /etc/edged/secrets/routeros")
    (box.etc / "edged.yaml").write_text(text)
    secret = box.etc / "secrets/routeros"
    secret.write_text("secret\n")
    # as a router's disk has it: root's, and readable for all
    secret.chmod(0o644)


def facts_of(process: int) -> dict[str, str]:
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return {name: value.strip() for name, value in (line.split(":", 1) for line in status.splitlines())}


def test_it_blocks_ten_thousand_lines_within_its_memory_as_nobody_in_particular_and_ends_when_told(
    unpacked: Path,
) -> None:
    if HERE not in ARCHES:
        pytest.fail(f"no image for this machine was built: ARCH={HERE}")
    box = Box(unpacked, capabilities=CAPABILITIES)
    with billing(LINES, LINES) as feed, standing_in() as router:
        with_configuration(box, feed, router)
        with running(box) as process:
            pid = box.pid()
            edged = Running(pid, Path(f"/proc/{pid}/root/run/edged/control.sock"))
            edged.wait(LINES * 9 // 10, 60.0)
            facts = edged.facts()
            print(facts)

            checked = box.inside("/usr/bin/edged", "check")
            status = box.inside("/usr/bin/edged", "status")
            shell = box.inside("/bin/sh", "-c", "cat /proc/1/comm; touch /usr/nothing")
            fetched = box.inside("/bin/wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{feed}/subscribers")
            user = facts_of(pid)

            subprocess.run(["runc", "kill", box.name, "TERM"], check=True, timeout=10)
            assert process.wait(20) == 0, "SIGTERM ends it cleanly"

    assert facts["peak_mb"] < LIMIT
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "127.0.0.1     OK" in status.stdout
    assert "compiled" in status.stdout
    assert shell.stdout == "edged\n"
    assert "Read-only file system" in shell.stderr
    assert fetched.returncode == 0, "what the health check is made with"
    assert user["Uid"].split() == ["990"] * 4
    assert int(user["CapEff"], 16) == 0
    assert {path.stat().st_uid for path in box.state.iterdir()} == {990}
    assert (box.etc / "secrets/routeros").stat().st_mode & 0o777 == 0o600


def test_where_root_may_not_change_users_it_runs_as_root_and_says_so(unpacked: Path) -> None:
    shutil.rmtree(unpacked / "state")
    box = Box(unpacked, capabilities=["CAP_KILL"])
    with billing(3, 3) as feed, standing_in() as router:
        with_configuration(box, feed, router)
        os.chown(box.etc / "secrets", 0, 0)
        os.chown(box.etc / "secrets/routeros", 0, 0)
        (box.etc / "secrets/routeros").chmod(0o600)
        with running(box):
            pid = box.pid()
            Running(pid, Path(f"/proc/{pid}/root/run/edged/control.sock")).wait(1, 60.0)
            user = facts_of(pid)

    assert user["Uid"].split() == ["0"] * 4
    assert "runs as root" in (unpacked / "log").read_text()


def test_the_image_is_a_function_of_its_folder(tmp_path: Path) -> None:
    """The order in which files were made, and when, is no matter."""

    def made(names: list[str], moment: int) -> dict[str, Any]:
        root, out = tmp_path / f"root-{moment}", tmp_path / f"out-{moment}"
        (root / "var/lib/edged").mkdir(parents=True)
        out.mkdir()
        for name in names:
            (root / name).write_text(name)
            os.utime(root / name, (moment, moment))
        subprocess.run(
            ["python3", "config/container/image.py", root, "amd64", out],
            env={**os.environ, "SOURCE_DATE_EPOCH": "1764547200"}, check=True, capture_output=True,
        )  # fmt: skip
        files = sorted(path for path in out.rglob("*") if path.is_file())
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}

    assert made(["a", "b", "c"], 1_000_000_000) == made(["c", "b", "a"], 1_700_000_000)
