# SPDX-License-Identifier: Apache-2.0
"""What could stand next on a command line: words of the parser itself, and names that somebody is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from edged.cli import main
from edged.commands.completing import DIRECTORIES, FILES, FREE, KINDS, Candidate, candidates, config_of
from edged.commands.completion import _of_line
from edged.commands.usage import parser

NAMES = {
    "subscribers": [("20417", "blocked unpaid"), ("20881", "notice")],
    "subjects": [("20417", "blocked unpaid"), ("billing-held", "an alarm")],
    "keys": [("k-501", "Flat 12"), ("k-502", "")],
    "sites": [("building-7", "a site")],
}


def named(kind: str, _beginning: str) -> list[tuple[str, str]]:
    return NAMES.get(kind, [])


def offered(line: str) -> list[str] | str:
    """The words that could stand where ``line`` ends."""
    found = candidates(parser(), line.split(" ")[1:], named)
    return found if isinstance(found, str) else [candidate.word for candidate in found]


def actions(of: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from actions(inner)
        elif action.nargs != 0:
            yield action


def test_every_argument_that_takes_a_value_is_known_here() -> None:
    taken = {action.dest for action in actions(parser()) if action.choices is None}

    assert taken <= set(KINDS) | FREE
    assert not set(KINDS) & FREE
    assert set(KINDS) | FREE <= taken | {"first_config"}


def test_a_command_is_completed_with_what_it_does() -> None:
    found = candidates(parser(), ["sta"], named)

    assert found == [Candidate("status", "is all well, and what needs a person?")]
    assert {"explain", "log", "keys", "completion"} <= set(offered("edged "))
    assert offered("edged xyzzy ") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("edged explain bil", ["billing-held"]),
        ("edged -c edged.yaml explain 204", ["20417"]),
        ("edged explain -c edged.yaml 204", ["20417"]),
        ("edged log 2", ["20417"]),
        ("edged block 2", ["20417", "20881"]),
        ("edged sync 2", ["20417", "20881"]),
        ("edged keys re", ["revoke", "reseal"]),
        ("edged keys --json rot", ["rotate"]),
        ("edged keys show k", ["k-501", "k-502"]),
        ("edged keys revoke k-501 k", ["k-501", "k-502"]),
        ("edged keys list --site b", ["building-7"]),
        ("edged keys list --state re", ["revoked"]),
        ("edged keys show k-501 ", ["--help", "--config", "--json", "--reveal"]),
        ("edged unblock 20417 --kind ", ["promise", "exemption"]),
        ("edged unblock 20417 --for 2h --kin", ["--kind"]),
        ("edged completion f", ["fish"]),
        ("edged routeros s", ["script"]),
        ("edged routeros script --only rules a", ["access"]),
        ("edged status --h", ["--help", "--healthy"]),
        ("edged status --json --js", []),
        ("edged block 20417 --why ", []),
        ("edged block -- 2", ["20417", "20881"]),
        ("edged block -- --", []),
        ("edged --v", ["--version"]),
    ],
)
def test_what_could_stand_next_is_offered(line: str, words: list[str]) -> None:
    found = offered(line)

    assert sorted(found) == sorted(words)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("edged -c ", FILES), ("edged status -c ed", FILES), ("edged check --pages ", DIRECTORIES),
        ("edged keys import ", FILES), ("edged probe --capture ", FILES), ("edged keys export --out x", FILES),
    ],
)  # fmt: skip
def test_the_shell_completes_files_itself(line: str, kind: str) -> None:
    assert offered(line) == kind


@pytest.mark.parametrize(
    ("line", "config"),
    [
        ("edged -c a.yaml explain ", "a.yaml"), ("edged explain --config=b.yaml ", "b.yaml"),
        ("edged keys -c c.yaml show ", "c.yaml"), ("edged explain ", ""),
    ],
)  # fmt: skip
def test_the_configuration_on_the_line_says_which_daemon_is_asked(line: str, config: str) -> None:
    assert config_of(parser(), line.split(" ")[1:]) == config


@pytest.mark.parametrize(
    ("line", "current", "words", "cut"),
    [
        ("edged expl", "expl", ["expl"], 0),
        ("edged explain ", "", ["explain", ""], 0),
        ("edged explain 02:00:5", "5", ["explain", "02:00:5"], 6),
        ("edged explain 02:", ":", ["explain", "02:"], 3),
        ("edged explain --config=ed", "ed", ["explain", "--config=ed"], 9),
        ("edged block 1 --why 'a b", "'a b", ["block", "1", "--why", "'a", "b"], 0),
    ],
)
def test_bash_cuts_words_at_colons_and_gets_them_back_in_the_same_pieces(
    line: str, current: str, words: list[str], cut: int
) -> None:
    assert _of_line(line, current) == (words, cut)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert f"completion {shell} -- " in script


def test_without_a_daemon_completion_is_silent_and_knows_what_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    away = ["-c", "/nonexistent"]
    for words in ([*away, "block", ""], [*away, "explain", "billing-h"], ["explain", "'"]):
        assert main(["completion", "zsh", "--", *words]) == 0

    out, err = capsys.readouterr()
    assert (out.splitlines()[-1], err) == ("billing-held\tan alarm", "")
