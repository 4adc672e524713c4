# SPDX-License-Identifier: Apache-2.0
"""A root folder in, an OCI image layout and a docker archive out, with the same octets for the same input.

``python image.py ROOT ARCH OUT`` writes OUT/oci-ARCH and OUT/edged-ARCH.tar. Both hold one layer. The archive is of the
old kind, as ``docker save`` made it before it wrote OCI: manifest.json, the configuration, and the layer uncompressed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAME = "edged:latest"
USER = 990
OWNED = ("var/lib/edged", "run/edged")
VARIANT = {"arm64": "v8", "arm": "v7"}
EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
CONFIG = {
    "Entrypoint": ["/usr/bin/python3.11", "-I", "-S", "/usr/lib/edged/entry.py"],
    "Cmd": ["run", "-c", "/etc/edged/edged.yaml"],
    "Env": [
        "PATH=/usr/bin:/usr/sbin:/bin:/sbin",
        "LANG=C.UTF-8",
        # docs/container.md, "Memory"
        "MALLOC_ARENA_MAX=1",
        "MALLOC_TRIM_THRESHOLD_=131072",
        "PYTHONDONTWRITEBYTECODE=1",
        "FROZENLIST_NO_EXTENSIONS=1",
    ],
    "WorkingDir": "/",
    "StopSignal": "SIGTERM",
    "Volumes": {"/etc/edged": {}, "/var/lib/edged": {}},
    "Labels": {"org.opencontainers.image.title": "edged", "org.opencontainers.image.licenses": "Apache-2.0"},
}
HEALTHCHECK = {
    "Test": ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9300/healthz"],
    "Interval": 30_000_000_000,
    "Timeout": 5_000_000_000,
    "StartPeriod": 60_000_000_000,
}
"""Nanoseconds. Docker's word: the OCI configuration has none."""


def layer(root: Path) -> bytes:
    """Everything in ``root`` as a tar: sorted, of one moment, owned by root or by edged."""
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            entry = tar.gettarinfo(str(path), name)
            entry.mtime, entry.uname, entry.gname = EPOCH, "", ""
            entry.uid = entry.gid = USER if name in OWNED else 0
            if entry.isfile() or entry.islnk():
                # two names of one file would hang on which of them comes first
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    return octets.getvalue()


def configuration(arch: str, diff: str, *, docker: bool) -> bytes:
    """The image's configuration; ``diff``: the digest of the uncompressed layer."""
    created = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    machine = "arm" if arch == "armhf" else arch
    config: dict[str, Any] = CONFIG | ({"Healthcheck": HEALTHCHECK} if docker else {})
    variant = {"variant": VARIANT[machine]} if machine in VARIANT else {}
    return _json({
        "created": created, "architecture": machine, **variant, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff]},
        "history": [{"created": created, "created_by": "config/container/build.sh"}],
    })  # fmt: skip


def write_oci(folder: Path, arch: str, tar: bytes) -> None:
    """An image layout (OCI image specification 1.0) with one image."""
    shutil.rmtree(folder, ignore_errors=True)
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(octets: bytes, media: str) -> dict[str, Any]:
        name = hashlib.sha256(octets).hexdigest()
        (blobs / name).write_bytes(octets)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{name}", "size": len(octets)}

    packed = gzip.compress(tar, 6, mtime=0)
    config = configuration(arch, _digest(tar), docker=False)
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(config, "config.v1+json"), "layers": [blob(packed, "layer.v1.tar+gzip")],
    }  # fmt: skip
    named = {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    index = {"schemaVersion": 2, "manifests": [blob(_json(manifest), "manifest.v1+json") | named]}
    (folder / "index.json").write_bytes(_json(index))


def write_archive(path: Path, arch: str, tar: bytes) -> None:
    """What ``docker load`` and RouterOS' ``/container add file=`` take."""
    config = configuration(arch, _digest(tar), docker=True)
    name, place = hashlib.sha256(config).hexdigest(), hashlib.sha256(tar).hexdigest()
    manifest = [{"Config": f"{name}.json", "RepoTags": [NAME], "Layers": [f"{place}/layer.tar"]}]
    repository, _, tag = NAME.partition(":")
    files = {
        f"{name}.json": config,
        f"{place}/layer.tar": tar,
        "manifest.json": _json(manifest),
        "repositories": _json({repository: {tag: place}}),
    }
    with tarfile.open(path, mode="w", format=tarfile.GNU_FORMAT) as archive:
        folder = tarfile.TarInfo(place)
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, EPOCH
        archive.addfile(folder)
        for file, octets in files.items():
            entry = tarfile.TarInfo(file)
            entry.size, entry.mtime = len(octets), EPOCH
            archive.addfile(entry, io.BytesIO(octets))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(octets: bytes) -> str:
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


def main() -> None:
    """Write both."""
    root, arch, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    tar = layer(root)
    write_oci(out / f"oci-{arch}", arch, tar)
    write_archive(out / f"edged-{arch}.tar", arch, tar)
    packed = sum(file.stat().st_size for file in (out / f"oci-{arch}/blobs/sha256").iterdir())
    print(f"{out}/edged-{arch}.tar: {len(tar) / 1e6:.1f} MB; {out}/oci-{arch}: {packed / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
