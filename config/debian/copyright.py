# SPDX-License-Identifier: Apache-2.0
"""The folder of modules in, the package's copyright file out (machine-readable, version 1.0), on standard output."""

from __future__ import annotations

import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path

HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: edged
Comment: The libraries below are the wheels that their authors publish. Their notices and licences are in their
 folders, /usr/lib/edged/lib/python*/site-packages/*.dist-info.

Files: *
Copyright: 2026 the edged authors
License: Apache-2.0

Files: usr/lib/edged/lib/*/site-packages/edged/phone/*
Copyright: 2026 the edged authors
License: Apache-2.0 or GPL-2.0-only
"""
TAIL = """
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.

License: Apache-2.0 or GPL-2.0-only
 On Debian systems the texts are in /usr/share/common-licenses/Apache-2.0 and /usr/share/common-licenses/GPL-2.
"""


def licence(metadata: Message) -> str:
    """As the library itself states it: an SPDX expression, or the words of its classifiers."""
    stated: str = metadata.get("License-Expression", "")
    if stated:
        return stated
    classifiers = [text for text in metadata.get_all("Classifier", []) if text.startswith("License ::")]
    return " and ".join(text.rpartition(" :: ")[2] for text in classifiers) or metadata.get("License", "").strip()


def paragraph(folder: Path) -> str:
    """One library, with the files that its distribution has."""
    metadata = Parser().parsestr((folder / "METADATA").read_text("utf-8"))
    name = metadata["Name"]
    by = (
        metadata.get("Author") or metadata.get("Author-email") or metadata.get("Maintainer") or f"the authors of {name}"
    )
    words = licence(metadata)
    if not words or "\n" in words:
        raise SystemExit(f"{name} does not say under which licence it is")
    return (
        f"\nFiles: usr/lib/edged/lib/*/site-packages/{folder.name}/*\n"
        f"Comment: {name} {metadata['Version']}, with all that it installs\n"
        f"Copyright: {' '.join(by.split())}\nLicense: {words}\n See the folder named.\n"
    )


def main() -> None:
    """Write it."""
    folders = sorted(Path(sys.argv[1]).glob("*.dist-info"))
    sys.stdout.write(HEAD + "".join(map(paragraph, folders)) + TAIL)


if __name__ == "__main__":
    main()
