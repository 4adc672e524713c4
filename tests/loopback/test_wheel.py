"""The wheel, in an environment that has never seen this checkout: what pipx installs, and what it runs there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from edged import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``edged`` of the wheel. Its libraries are those of the tests' environment: what they are, the locks say."""
    place = tmp_path_factory.mktemp("wheel")
    source, target = place / "source", place / "venv"
    source.mkdir()
    shutil.copytree(ROOT / "edged", source / "edged", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for path in (*ROOT.glob("*.toml"), *ROOT.glob("setup.*"), *ROOT.glob("README*"), *ROOT.glob("[LN][IO][CT]*")):
        shutil.copy(path, source)
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    _run(*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", str(place), str(source))
    (wheel,) = place.glob("edged-*.whl")
    venv.create(target, with_pip=False)
    _run(*pip, "--python", str(target), "install", "--no-deps", "--no-index", str(wheel))
    (site,) = target.glob("lib/python3*/site-packages")
    # as a plain path: no .pth file of theirs is read, so that of the checkout is not there
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return target / "bin" / "edged"


def _run(*command: str, status: int = 0) -> str:
    # without a compiler: the twins do, and it takes half the time; the package's tests build what is compiled
    environment = {**os.environ, "CC": "/bin/false"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd="/", env=environment
    )  # fmt: skip
    assert done.returncode == status, done.stderr or done.stdout
    return done.stdout


def test_the_wheel_alone_says_its_version_and_writes_a_configuration_that_it_accepts(
    installed: Path, tmp_path: Path
) -> None:
    config, edged = tmp_path / "edged.yaml", str(installed)

    assert _run(edged, "--version").strip() == f"edged {__version__}"
    assert f"Next:  edged check -c {config}" in _run(edged, "init", "--no-input", "-c", str(config))
    # renders every page: templates, languages and pictures came with it
    assert "every state rendered" in _run(edged, "check", "-c", str(config))
    python = str(installed.with_name("python"))
    assert str(installed.parents[1]) in _run(python, "-c", "import edged; print(edged.__file__)")
    assert "did you mean ports?" in subprocess.run(
        [edged, "doctor", "-c", str(config), "prots"], check=False, capture_output=True, text=True, timeout=60
    ).stderr  # fmt: skip
