"""What the manual takes from the program is the program's; the commands, keys and codes that it names exist."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.manual import build
from config.manual.commands import Command, commands
from config.manual.keys import entries
from config.manual.reference import written
from config.manual.roff import FOLDER
from edged.commands.usage import parser
from edged.config.restart import RESTART_KEYS
from edged.config.schema import Config, json_schema
from tests.unit.test_docs import DOCS, FENCE, KEYS, ROOT, alarm_codes

FILES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FILES}

# --- what is generated -----------------------------------------------------------------------------


def test_what_the_manual_takes_from_the_program_is_up_to_date() -> None:
    stale = [name for name, text in written().items() if (DOCS / name).read_text("utf-8") != text]
    left = {path.relative_to(DOCS).as_posix() for path in (DOCS / "reference").rglob("*.*")} - set(written())

    assert not stale, "run make schema"
    assert not left, "nothing writes these any more"


def test_every_key_has_its_meaning_in_a_sentence_below_its_field() -> None:
    unsaid = [key.path for key, meaning in entries() if not re.fullmatch(r"[A-Z`].*\.", meaning.text)]

    assert len(entries()) == len(KEYS)
    assert not unsaid, 'a text below the field, such as: """The pause between two questions. ..."""'


def test_every_key_of_the_json_schema_tells_an_editor_what_it_means() -> None:
    told = list(properties(json_schema()))

    assert {"changes", "vlan", "address"} <= {name for name, _ in told}
    assert [name for name, key in told if len(key.get("description", "")) < 10 or "](" in key["description"]] == []


def properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that a schema tells of, wherever."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from properties(inner)


def all_commands() -> Iterator[Command]:
    for command in commands():
        yield command
        yield from command.actions


def test_every_argument_of_every_command_says_what_it_is() -> None:
    assert [
        (command.name, one.written) for command in all_commands() for one in command.arguments if not one.text
    ] == []


def test_every_command_has_two_examples_or_is_one_that_takes_none() -> None:
    assert [command.name for command in commands() if len(command.examples) < 2] == []


def test_a_page_for_man_ends_no_line_as_a_macro_by_accident() -> None:
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".br", ".RS", ".RE", ".nf", ".fi", ".BR", '.\\"'}
    for name, text in written().items():
        if name.startswith(FOLDER):
            macros = {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))}
            assert macros <= known, name
            assert text.isascii(), name


# --- the site ----------------------------------------------------------------------------------------


def test_the_contents_on_the_first_page_lead_to_every_page() -> None:
    named = {page for _, pages in build.chapters() for page in pages} | {DOCS / "index.md"}

    assert [page.relative_to(DOCS).as_posix() for page in sorted({*DOCS.rglob("*.md")} - named)] == [], (
        "give it a place among the contents of docs/index.md"
    )


def test_a_page_of_the_site_links_to_pages_and_files_of_the_site_alone(tmp_path: Path) -> None:
    build.stage(tmp_path)
    staged = set(tmp_path.rglob("*.md"))
    away = {
        (page.relative_to(tmp_path).as_posix(), target)
        for page in staged
        for _, target in build.LINK.findall(FENCE.sub("", page.read_text("utf-8")))
        if not re.match(r"[a-z]+:|#", target)
        and not (page.parent / target.partition("#")[0]).resolve().is_relative_to(tmp_path)
    }

    assert len(staged) > len(TEXTS)
    assert (tmp_path / "files/config/edged.example.yaml").exists()
    assert away == set()


@pytest.mark.parametrize(
    ("text", "loads"),
    [
        ('<script src="https://unpkg.com/x"></script>', True),
        ("<script src=//cdn.example/x></script>", True),
        ('<link rel="stylesheet" href="https://fonts.example/css">', True),
        ("<style>a{background:url(https://x.example/y.png)}</style>", True),
        ('<img src="pictures/page.png"><a href="https://www.example.net/">read</a>', False),
    ],
)
def test_what_a_browser_would_load_from_elsewhere_is_told_from_a_link(
    tmp_path: Path, text: str, *, loads: bool
) -> None:
    (tmp_path / "index.html").write_text(text)
    assert bool(list(build.foreign(tmp_path))) is loads


# --- configure.md: reload or restart -----------------------------------------------------------------


def test_the_table_of_what_needs_a_restart_names_those_keys() -> None:
    _, _, table = TEXTS["docs/configure.md"].partition("\n| takes effect by reload | needs a restart |\n")
    named: list[str] = []
    for row in table.partition("\n\n")[0].splitlines()[1:]:
        for word in re.findall(r"`([a-z_.]+)`", row.split("|")[2]):
            named.append(word if word[0] != "." else named[-1].rpartition(".")[0] + word)

    assert sorted(named) == sorted((*RESTART_KEYS, "portal.url"))


# --- command lines ---------------------------------------------------------------------------------

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(edged (?!COMMAND|is |statement link|[a-z]+,)[^`\n]+)`")
LINE = re.compile(r"(?:sudo (?:-u \S+ )?)?(edged(?: (?!is|\d).*)?)")
"""What a package or a status says begins with the name, too."""


def lines_of(text: str) -> Iterator[str]:
    """Every command line of a page that begins with ``edged``: behind a prompt, or in a block that has none."""
    for language, block in BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        prompted = [line[2:] for line in lines if line.startswith(("$ ", "# "))]
        if language in {"", "sh", "console"}:
            yield from (match[1] for line in prompted or lines if (match := LINE.fullmatch(line)))


def words_of(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>&;")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if word[0] in "|<>&;":
            break
        words.append(word)
    return words


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """The real parser, which opens no file that the manual names."""
    monkeypatch.setattr(argparse.FileType, "__call__", lambda _self, name: name)
    return parser()


def complaint(program: argparse.ArgumentParser, words: list[str]) -> str:
    """What the parser says against it; empty: nothing."""
    said = []
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr("sys.stderr", type("Ear", (), {"write": lambda _self, text: said.append(text)})())
        patch.setattr("sys.stdout", type("Ear", (), {"write": lambda *_: None, "flush": lambda _: None})())
        program.parse_args(words[1:])
    return "".join(said)


def test_every_command_line_of_the_manual_is_one_that_edged_accepts(accepted: argparse.ArgumentParser) -> None:
    lines = [(name, line) for name, text in TEXTS.items() for line in lines_of(text)]
    faults = [(name, line, said) for name, line in lines if (said := complaint(accepted, words_of(line)))]

    assert len(lines) > 80
    assert faults == []


def test_every_command_named_in_a_sentence_has_its_options(accepted: argparse.ArgumentParser) -> None:
    """Between backquotes a command may lack what it needs; what stands there must exist."""
    faults = []
    for name, text in TEXTS.items():
        for line in INLINE.findall(FENCE.sub("", text)):
            said = complaint(accepted, words_of(line.replace("…", "")))
            if re.search(r"unrecognized|there is no", said):
                faults.append((name, line, said))
    assert faults == []


def test_the_exit_statuses_of_the_manual_are_those_of_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["status", "--help"])
    told = re.search(r"^exit status: (.*)$", capsys.readouterr().out, re.MULTILINE)

    assert told is not None
    assert re.findall(r"\b\d+\b", told[1]) == re.findall(
        r"^\| (\d+) \|", TEXTS["docs/reference/commands.md"], re.MULTILINE
    )


# --- keys and codes that a sentence names ------------------------------------------------------------

SHOWN = re.compile(r"^  (\w+) +(?:OK|WARN|FAIL) +(.*(?:\n {23}.*)*)", re.MULTILINE)
"""A part of ``edged status``, on as many lines as it takes."""
SAID = {
    "dns": re.compile(r"[\d,]+ answers/s(, p99 \S+ ms)?; [\d,]+ since the start, [\d,]+ dropped"),
    "portal": re.compile(r"[\d,]+ pages? in the last hour(;|$)"),
}


def test_what_the_manual_shows_of_a_part_has_the_words_of_status() -> None:
    golden = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests/golden/ops").glob("status-*.txt"))
    shown = [(name, " ".join(fact.split())) for text in (*TEXTS.values(), golden) for name, fact in SHOWN.findall(text)]

    assert {name for name, _ in shown} > SAID.keys()
    assert not [fact for name, fact in shown if name in SAID and not SAID[name].match(fact)]


NAMED = re.compile(rf"`((?:{'|'.join(Config.model_fields)})(?:\[\])?\.[a-z_0-9.\[\]A-Z]+)`")
FOREIGN = re.compile(r"\.(?:yaml|md|py|csv|json|pem|key|net|com|example|service|socket|tar|sh|schema|lock|google)$")
PATTERNS = [re.compile(re.escape(key).replace(r"\[\]", r"(?:\[\]|\[\d+\])?").replace("NAME", r"[^.]+")) for key in KEYS]


def test_every_key_that_a_sentence_names_is_one_of_the_configuration() -> None:
    named = {(name, key) for name, text in TEXTS.items() for key in NAMED.findall(FENCE.sub("", text))}
    keys = {(name, key) for name, key in named if not FOREIGN.search(key) and "decisions/" not in name}

    assert len(keys) > 100
    assert (
        sorted(item for item in keys if not any(pattern.fullmatch(item[1].removesuffix("[]")) for pattern in PATTERNS))
        == []
    )


def test_every_alarm_that_a_sentence_names_is_one_of_edged() -> None:
    named = {code for text in TEXTS.values() for code in re.findall(r"\balarms? `([a-z-]+)`", text)}
    explained = {code for text in TEXTS.values() for code in re.findall(r"edged explain ([a-z]+(?:-[a-z]+)+)\b", text)}

    assert named | explained
    assert named | explained <= alarm_codes()
