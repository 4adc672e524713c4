# SPDX-License-Identifier: Apache-2.0
"""``edged check --full``: every key with the value in force and where it is set; ``--strict``; never a secret."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from edged.cli import main
from edged.config.loading import loaded_text
from edged.config.schema import Config
from edged.ops.inforce import Setting, settings
from edged.yamltext import load_text

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config/edged.example.yaml"


def full(text: str, *, files_read: bool = False) -> dict[str, Setting]:
    found = settings(loaded_text(text, "edged.yaml", read_files=files_read), files_read=files_read)
    by_key = {setting.key: setting for setting in found}
    assert len(by_key) == len(found)
    return by_key


def test_what_is_written_has_its_line_and_everything_else_its_default() -> None:
    found = full("site: tower-12\nsubscribers:\n  networks: [100.64.0.0/10]\n  notice: {every: 12h}\n")

    assert found["site"] == Setting("site", "tower-12", 1)
    assert found["subscribers.networks"] == Setting("subscribers.networks", "[100.64.0.0/10]", 3)
    assert found["subscribers.notice.every"] == Setting("subscribers.notice.every", "12h", 4)
    assert found["subscribers.notice.snooze"] == Setting("subscribers.notice.snooze", "4h", 0)
    assert found["state.log.keep"] == Setting("state.log.keep", "92d", 0)
    assert found["state.log.keep"].origin == "default"


def fields_of(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        key = f"{place}{field.alias or name}"
        yield key, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields_of(field.annotation, f"{key}.")


def test_the_defaults_are_spelt_as_the_file_takes_them() -> None:
    found, fields = full("site: t\n"), dict(fields_of(Config))
    told = {key: setting for key, setting in found.items() if not setting.line and setting.value != "none"}

    assert len(told) > 15
    for key, setting in told.items():
        default = fields[key].get_default(call_default_factory=True, validated_data={})
        if not isinstance(default, dict):
            annotated: Any = operator.getitem(Annotated, (fields[key].annotation, fields[key]))
            assert TypeAdapter(annotated).validate_python(load_text(setting.value)) == default, setting


def test_lists_of_sections_are_shown_one_by_one_and_short_spellings_as_they_are_written() -> None:
    found = full(
        "site: t\nenforce:\n- nftables: {interfaces: [lan0]}\nradius:\n  auth: ['127.0.0.1:1812']\n  clients:\n"
        "  - {name: a, networks: [192.0.2.0/24], secret: hunter2-hunter2}\n"
    )

    assert found["enforce[0].nftables.interfaces"] == Setting("enforce[0].nftables.interfaces", "[lan0]", 3)
    assert found["radius.clients[0].name"] == Setting("radius.clients[0].name", "a", 7)
    assert found["radius.clients[0].dialect"].line == 0
    assert found["radius.clients[0].secret"].value == "(in the file itself)"


def test_the_whole_example_is_shown_and_what_it_says_is_found_at_its_lines() -> None:
    text = SHIPPED.read_text("utf-8")
    lines, found = text.splitlines(), full(text)

    assert sum(bool(setting.line) for setting in found.values()) > 60
    for key, setting in found.items():
        if setting.line and not key.endswith("]"):
            assert key.rpartition(".")[2].partition("[")[0] in lines[setting.line - 1], key


def test_a_secret_file_is_shown_as_a_path_and_a_size(tmp_path: Path) -> None:
    secret = tmp_path / "billing"
    secret.write_text("hunter2hunter2\n")
    secret.chmod(0o600)
    text = f"site: t\nbilling: {{source: rest, url: 'https://billing.example.net', secret: !file {secret}}}\n"

    found = full(text, files_read=True)

    assert found["billing.secret"] == Setting("billing.secret", f"(file {secret}, 14 bytes)", 2)
    assert full(text)["billing.secret"].value == f"(file {secret}, not read)"
    assert "hunter2" not in "".join(setting.value for setting in (*found.values(), *full(text).values()))


@pytest.mark.parametrize(
    "line",
    ["billing: {source: rest, url: 'https://b.example.net', key: hunter2hunter2, secret: hunter2hunter2}",
     "billing:\n  source: rest\n  url: https://b.example.net\n  secret: |\n    hunter2hunter2\n"],
)  # fmt: skip
def test_a_secret_that_is_written_into_the_file_is_not_shown(line: str) -> None:
    assert "hunter2" not in "".join(setting.value for setting in full(f"site: t\n{line}\n").values())


def test_full_is_a_line_a_key_for_people_and_a_list_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text("site: t\n")

    assert main(["check", "--full", "-c", str(config)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(row.split() == ["site", "line", "1", "t"] for row in rows)
    assert any(row.split() == ["dns.ttl", "default", "5s"] for row in rows)
    assert main(["check", "--full", "--json", "-c", str(config)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {"key": "site", "value": "t", "line": 1} in facts["settings"]
    assert {"key": "state.log.rows", "value": "100000", "line": None} in facts["settings"]


def test_a_warning_is_refused_where_strictness_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text("site: t\nportal: {url: 'https://portal.example.net', addresses: ['10.20.0.10']}\n")

    assert main(["check", "--no-files", "-c", str(config)]) == 0
    assert "warning" in capsys.readouterr().out
    assert main(["check", "--no-files", "--strict", "-c", str(config)]) == 78
    assert "With --strict that is refused." in capsys.readouterr().out
    assert main(["check", "--no-files", "--strict", "--json", "-c", str(config)]) == 78
    assert json.loads(capsys.readouterr().out)["good"] is False
    config.write_text("site: t\n")
    assert main(["check", "--strict", "-c", str(config)]) == 0
