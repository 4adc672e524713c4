"""The manual keeps up with the program: every key, default, example, alarm, metric and link of docs/ is checked."""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from edged.config.loading import loaded_text
from edged.config.restart import RESTART_KEYS
from edged.config.schema import Config
from edged.errors import ConfigError, Problem
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.outcome import Reason
from edged.ops import manual
from edged.ops.doctor.checks import CHECKS
from edged.yamltext import load_text

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted((*ROOT.glob("*.md"), *DOCS.rglob("*.md")))


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


# --- reference/configuration: an entry a key -------------------------------------------------------


def inner_models(annotation: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """The sections behind a field, and what stands between its key and theirs: nothing, ``[]`` or ``.NAME``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
    suffix += {tuple: "[]", dict: ".NAME"}.get(get_origin(annotation), "")
    for argument in get_args(annotation):
        yield from inner_models(argument, suffix)


def keys_of(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key path that may stand in the file, as the manual writes it."""
    for name, field in model.model_fields.items():
        path = f"{place}.{field.alias or name}" if place else field.alias or name
        yield path, field
        for inner, suffix in inner_models(field.annotation):
            yield from keys_of(inner, path + suffix)


KEYS = dict(keys_of(Config))
ENTRY = re.compile(r"^## `([^`]+)`\n\n(.+)\n\n- Takes: (.+)\n- Default: (.+)\n- In force after: (.+)$", re.MULTILINE)


def documented() -> dict[str, tuple[str, ...]]:
    """Key path to its meaning, and to what stands beside *takes*, *default* and *in force after*."""
    pages = sorted((DOCS / "reference/configuration").glob("*.md"))
    return {match[1]: match.groups()[1:] for path in pages for match in ENTRY.finditer(path.read_text("utf-8"))}


def test_the_manual_has_an_entry_for_every_key_and_none_for_what_is_no_key() -> None:
    assert sorted(documented()) == sorted(KEYS)


def stated(cell: str, field: FieldInfo) -> Any:
    """The value that a cell in backticks names, read as the configuration would read it."""
    assert re.fullmatch(r"`[^`]+`", cell), cell
    annotated: Any = operator.getitem(Annotated, (field.annotation, field))
    return TypeAdapter(annotated).validate_python(load_text(cell.strip("`")))


def test_the_manual_states_the_default_in_force() -> None:
    for path, (_, _, cell, _) in documented().items():
        field = KEYS[path]
        default = field.get_default(call_default_factory=True, validated_data={})
        if field.is_required():
            assert cell == "required", path
        elif default in (None, (), {}):
            assert cell == "none", path
        elif isinstance(default, (BaseModel, dict)):
            assert cell == "below", path
        else:
            assert stated(cell, field) == default, path


def test_a_key_that_a_reload_cannot_take_is_said_to_need_a_restart() -> None:
    said = {path for path, (_, _, _, after) in documented().items() if after == "a restart"}

    assert set(RESTART_KEYS) <= said
    assert {path for path in said if path not in RESTART_KEYS and not path.startswith(RESTART_KEYS)} == set()


SNIPPET = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONFIGURATIONS = [
    pytest.param(match[1], id=f"{name}:{page(name)[: match.start()].count(chr(10)) + 1}")
    for name in (path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")))
    for match in SNIPPET.finditer(page(name))
]


def faults(text: str) -> list[Problem]:
    """What the loader says against a configuration; not that it is a part and another part is wanted beside it."""
    try:
        loaded_text(text, "docs", read_files=False)
    except ConfigError as error:
        return [problem for problem in error.problems if problem.found != "nothing"]
    return []


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_every_configuration_in_the_manual_is_accepted(text: str) -> None:
    """All that is marked as YAML is one, on every page, and stands the checks across its sections too."""
    assert not faults(text)


def test_a_configuration_that_is_wrong_would_be_noticed() -> None:
    assert CONFIGURATIONS
    assert faults("dns: {tll: 5s}")
    assert faults('portal: {url: "https://p.example.net"}\ngarden: {names: [captive.apple.com]}')


# --- troubleshooting.md: one entry an alarm ------------------------------------------------------

CODE = re.compile(r"[a-z]+(?:-[a-z]+)+")


def alarm_codes() -> set[str]:
    """The codes in ops/alarms.py: the texts of that form, wherever an Alarm takes its own from."""
    tree = ast.parse((ROOT / "edged/ops/alarms.py").read_text("utf-8"))
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and CODE.fullmatch(text)}


def test_the_manual_has_an_entry_for_every_alarm_and_none_for_what_is_no_alarm() -> None:
    entries = re.findall(r"^### `([^`]+)`$", page("troubleshooting.md"), re.MULTILINE)
    assert sorted(entries) == sorted(alarm_codes())


def test_the_manuals_entries_are_in_the_package_word_for_word() -> None:
    text = page("troubleshooting.md")
    assert (ROOT / "edged/ops/alarms.md").read_text("utf-8") == text[text.index("### `") :]


def test_every_alarm_can_be_explained_without_a_daemon() -> None:
    assert set(manual.CODES) == alarm_codes()
    for code in manual.CODES:
        said = manual.entry(code)
        assert "Affected:" in said
        assert "Do:" in said
        assert not re.search(r"\]\(|\*\*|^#", said, re.MULTILINE)


# --- metrics.md ----------------------------------------------------------------------------------

METRIC = re.compile(r"\bedged_[a-z0-9_]+")


def test_the_manual_has_a_row_for_every_metric_and_names_no_other() -> None:
    source = (ROOT / "edged/ops/figures.py").read_text("utf-8")
    emitted = set(METRIC.findall(source))
    text = page("metrics.md")
    rows = re.findall(r"^\| `(edged_[a-z0-9_]+)", text, re.MULTILINE)
    assert sorted(name.removesuffix("_total") for name in rows) == sorted(emitted)
    assert {name.removesuffix("_total") for name in METRIC.findall(text)} <= emitted


# --- config/prometheus.rules.yaml, config/grafana.dashboard.json ------------------------------------

RULES = load_text((ROOT / "config/prometheus.rules.yaml").read_text("utf-8"))["groups"][0]["rules"]
GRAFANA = json.loads((ROOT / "config/grafana.dashboard.json").read_text("utf-8"))
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{f"{panel['title']} {t['refId']}": t["expr"] for panel in GRAFANA["panels"] for t in panel["targets"]},
}
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Of the library that writes /metrics; test_ops_service has them from a whole house."""


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_what_watches_from_outside_asks_for_metrics_that_there_are(expression: str) -> None:
    rows = set(re.findall(r"^\| `(edged_[a-z0-9_]+)", page("metrics.md"), re.MULTILINE))
    histogram = {
        f"{name}{part}"
        for name in ("edged_restore_seconds", "edged_dns_answer_seconds")
        for part in ("_bucket", "_count", "_sum")
    }
    named = set(re.findall(r"\b(?:edged|process)_[a-z0-9_]+", expression))

    assert named <= rows | histogram | PROCESS
    assert named or expression.startswith("up{")
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


def test_an_alert_has_its_row_a_severity_a_sentence_and_the_next_step() -> None:
    _, _, text = page("metrics.md").partition("## Alerts")
    assert re.findall(r"^\| `(Edged\w+)` \|", text, re.MULTILINE) == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= {"instance", "target", "code"}
        assert set(re.findall(r"alarm ([a-z-]+)", rule["annotations"]["description"].lower())) <= alarm_codes()


def test_grafana_asks_the_source_and_the_edges_that_were_chosen() -> None:
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in GRAFANA["panels"]]
    assert len(places) == len(set(places))
    for panel in GRAFANA["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"]), panel["title"]


# --- wifi-access-points.md and wifi.md: the dialects, the reasons ----------------------------------


def first_cells(text: str, heading: str) -> set[str]:
    """Every word in backquotes of the first cells of the table whose head begins so."""
    _, _, table = text.partition(f"\n| {heading} |")
    rows = table.partition("\n\n")[0].splitlines()[2:]
    return {word for row in rows for word in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}


def test_the_manual_has_a_row_for_every_dialect_that_is_spoken() -> None:
    assert first_cells(page("wifi-access-points.md"), "`dialect`") == set(DIALECTS)


def test_the_manual_explains_every_reason_that_a_device_is_rejected_for() -> None:
    assert first_cells(page("wifi.md"), "reason") == {reason.value for reason in Reason}


# --- doctor.md: the checks ---------------------------------------------------------------------------


def test_the_manual_has_a_row_for_every_check_of_the_doctor() -> None:
    assert first_cells(page("doctor.md"), "check") == {"config", *CHECKS}


# --- links ---------------------------------------------------------------------------------------

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The names that a forge gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target
