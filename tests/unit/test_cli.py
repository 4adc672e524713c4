# SPDX-License-Identifier: Apache-2.0
"""The ``edged`` command without a daemon: its words, its exit statuses, and never a traceback."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from edged import __version__
from edged.billing.sources.file import FileSource
from edged.cli import COMMANDS, main
from edged.commands.overview import OVERVIEW

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = "config/example/edged.yaml"
EVERY_COMMAND = pytest.mark.parametrize("command", sorted(COMMANDS))


def usage(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status and both streams of what argparse ends by itself."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status and the sentence on standard error; nothing is printed besides."""
    status = main(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    return status, err


# --- help ------------------------------------------------------------------------------------------


@EVERY_COMMAND
def test_the_help_of_every_command_shows_an_example_that_the_command_accepts(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = usage(capsys, command, "--help")

    assert (status, err) == (0, "")
    assert "exit status: 0 done" in out
    *_, examples, manual = out.rstrip().split("\n\n")
    head, *shown = examples.splitlines()
    assert head == "examples:"
    assert len(shown) >= 2
    assert all(line.startswith(f"  edged {command}") for line in shown)
    assert (ROOT / manual.removeprefix("manual: ")).is_file()
    assert max(map(len, out.splitlines())) <= 100


def test_edged_alone_prints_seven_tasks_each_with_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    printed = capsys.readouterr().out
    assert printed == OVERVIEW + "\n"
    shown = [line.partition(" edged ")[2].split()[0] for line in printed.splitlines() if line.startswith("  ")]
    assert len(shown) == len(set(shown)) == 7
    assert set(shown) <= set(COMMANDS)
    assert max(map(len, printed.splitlines())) <= 80


def test_the_help_of_edged_names_every_command_that_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = usage(capsys, "--help")

    assert status == 0
    for command in set(COMMANDS) - {"schema"}:
        assert f"\n    {command} " in out


def test_whoever_types_help_gets_it_of_edged_and_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage(capsys, "help") == usage(capsys, "--help")
    assert usage(capsys, "help", "status") == usage(capsys, "status", "--help")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage(capsys, "--version") == (0, f"edged {__version__}\n", "")


# --- slips -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["statsu"], 'there is no command "statsu"; did you mean "status"?'),
        (["chekc", "-c", "edged.yaml"], 'there is no command "chekc"; did you mean "check"?'),
        (["unblok", "1001"], 'there is no command "unblok"; did you mean "unblock"?'),
        (["xyzzy"], 'there is no command "xyzzy"'),
        (["it's"], 'there is no command "it\'s"'),
        (["keys", "lsit"], 'there is no action "lsit"; did you mean "list"?'),
        (["keys", "-c", "edged.yaml", "imprt"], 'there is no action "imprt"; did you mean "import"?'),
        (["keys"], "which action? edged keys --help lists them"),
        (["block"], "the following arguments are required: subscriber"),
        (["explain"], "the following arguments are required: subject"),
        (["block", "1001", "--kind", "promise"], "unrecognized arguments: --kind promise"),
        (["pass", "1001", "--until", "2026-11-27"], "unrecognized arguments: --until 2026-11-27"),
        (["check", "--jsno"], "unrecognized arguments: --jsno"),
        (["check", "--no-files", "--pages", "x"], "argument --pages: not allowed with argument --no-files"),
        (["keys", "add", "--ssid", "R", "--vlan", "x"], "argument --vlan: invalid int value: 'x'"),
    ],
)  # fmt: skip
def test_a_slip_is_one_line_with_the_nearest_word_and_status_2(
    arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert usage(capsys, *arguments) == (2, "", f"edged: {said}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["block", "1001"], "--why"),
        (["block", "1001", "--why", "  "], "--why"),
        (["pass", "1001"], "--why"),
        (["unblock", "1001", "--why", "x", "--for", "2 hours"], '"2 hours" is not a duration; 30m, 2h and 7d work'),
        (["pass", "1001", "--why", "x", "--for", "soon"], '"soon" is not a duration; 30m, 2h and 7d work'),
        (["block", "1001", "--why", "x", "--for", "2h", "--until", "2026-11-27"], "give one of them"),
        (["unblock", "1001", "--why", "x", "--until", "friday"], '--until "friday" is no end; 2026-11-27'),
        (["unblock", "1001", "--why", "x", "--until", "27.11.2026"], "is no end"),
        (["unblock", "1001", "--why", "x", "--until", "2026-02-30"], "is no end"),
        (["unblock", "1001", "--why", "x", "--until", "20261127"], "is no end"),
        (["unblock", "1001", "--why", "x", "--until", "2026-11-27T18:00"], "is no end"),
        (["unblock", "1001", "--why", "x", "--until", "9999-12-31"], "is no end"),
        (["unblock", "1001", "--why", "x", "--until", ""], "is no end"),
        (["unblock", "1001", "--why", "x", "--end", "--for", "2h"], "--end takes the word back now"),
        (["unblock", "1001", "--why", "x", "--end", "--kind", "promise"], "--end takes the word back now"),
        (["block", "1001", "--why", "x", "--end", "--until", "2026-11-27"], "--end takes the word back now"),
    ],
)  # fmt: skip
def test_an_override_without_a_reason_or_with_an_odd_end_is_status_2(
    arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, err = refused(capsys, *arguments)

    assert status == 2
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--origin", "both"], "invalid choice: 'both' (choose from 'billing', 'local')"),
        (["generate", "--ssid", "R"], "one of the arguments --count --units is required"),
        (["generate", "--ssid", "R", "--count", "3", "--units", "-"], "not allowed with argument --count"),
        (["generate", "--count", "3"], "the following arguments are required: --ssid"),
        (["generate", "--ssid", "R", "--count", "many"], "invalid int value: 'many'"),
        (["generate", "--ssid", "R", "--count", "3", "--style", "short"], "choose from 'readable', 'random'"),
        (["rotate", "k-1", "--now", "--at", "2027-01-01"], "not allowed with argument --now"),
        ([], "which action? edged keys --help lists them"),
        (["expire", "k-1"], "the following arguments are required: TIME"),
        (["revoke"], "the following arguments are required: ID"),
        (["list", "--state", "godo"], "argument --state: invalid choice: 'godo'"),
        (["forget", "k-1"], "the following arguments are required: MAC"),
        (["rotat", "k-1"], 'there is no action "rotat"; did you mean "rotate"?'),
        (["genrate"], 'there is no action "genrate"; did you mean "generate"?'),
    ],
)
def test_a_slip_in_an_action_on_keys_is_one_line_with_status_2(
    arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = usage(capsys, "keys", *arguments)

    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rotate"], "which keys? either IDs, or --site and --ssid"),
        (["rotate", "k-1", "--site", "b-7"], "which keys? either IDs, or --site and --ssid"),
        (["rotate", "k-1", "--now", "--overlap", "1d"], "--now ends the old passphrase"),
        (["rotate", "k-1", "--overlap", "a week"], '"a week" is not a duration; 0s, 12h and 7d work'),
        (["rotate", "k-1", "--at", "soon"], '--at "soon" is no time; 2026-11-27'),
        (["add", "--ssid", "R", "--from", "soon"], '--from "soon" is no time; 2026-11-27 (the beginning of that day'),
        (["add", "--ssid", "R", "--until", "soon"], '--until "soon" is no time; 2026-11-27 (the end of that day'),
        (["generate", "--ssid", "R", "--count", "3", "--until", "27.11.2026"], '--until "27.11.2026" is no time'),
        (["expire", "k-1", "soon"], 'TIME "soon" is no time'),
        (["show", "k-1"], "no terminal: a passphrase goes there with --reveal alone"),
    ],
)
def test_what_makes_no_sense_of_keys_is_said_without_asking_the_daemon(
    arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, err = refused(capsys, "keys", *arguments)

    assert status == 2
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "action",
    ["list", "add", "generate", "import", "export", "rotate", "expire", "revoke", "allow", "forget", "show", "reseal"],
)
def test_every_action_on_keys_has_a_help_that_fits_a_terminal(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = usage(capsys, "keys", action, "--help")

    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 100


# --- without a daemon ------------------------------------------------------------------------------


def test_without_a_daemon_every_question_is_status_69_with_what_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text(f"ops: {{socket: {tmp_path}/control.sock}}")
    csv = tmp_path / "keys.csv"
    csv.write_text("ssid\nResidence\n")

    for command in (
        ("status", "-c"), ("explain", "100.64.7.9", "-c"), ("log", "1", "-c"), ("sync", "-c"),
        ("block", "1", "--why", "x", "-c"),
        ("unblock", "1", "--why", "x", "-c"), ("pass", "1", "--why", "x", "-c"),
    ):  # fmt: skip
        status, err = refused(capsys, *command, str(config))
        assert status == 69
        assert "journalctl" in err
    for action in (("list",), ("add", "--ssid", "R"), ("import", str(csv)), ("revoke", "k"), ("show", "k", "--reveal"),
        ("generate", "--ssid", "R", "--count", "2"), ("export",), ("rotate", "k"), ("expire", "k", "never"),
        ("allow", "k", "02:00:5e:10:00:01"), ("forget", "k", "02:00:5e:10:00:01"), ("reseal",),
    ):  # fmt: skip
        assert refused(capsys, "keys", "-c", str(config), *action)[0] == 69


def test_where_nothing_is_configured_yet_a_question_says_what_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "edged.yaml"
    monkeypatch.setattr("edged.commands.reach.DEFAULT_CONFIG", absent)
    monkeypatch.setattr("edged.commands.reach._DEFAULT_SOCKET", tmp_path / "control.sock")

    status, err = refused(capsys, "status", "-c", str(absent))

    assert status == 69
    assert err.splitlines()[1] == f"  there is no {absent} yet: edged init writes it"


def test_init_is_not_what_mends_a_file_that_may_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(tmp_path / "absent.yaml")]) == 78
    assert "edged init writes one" in capsys.readouterr().out

    assert main(["check", "-c", str(tmp_path)]) == 78  # it is there, and no file
    assert "edged init" not in capsys.readouterr().out


def test_a_configuration_that_is_not_there_is_status_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "sync"):
        status, err = refused(capsys, command, "-c", str(tmp_path / "absent.yaml"))
        assert (status, err) == (78, f"edged: {tmp_path}/absent.yaml: No such file or directory\n")


def test_a_configuration_that_is_no_text_is_status_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edged.yaml"
    config.write_bytes(b"\xff\xfe")

    status, err = refused(capsys, "status", "-c", str(config))

    assert status == 78
    assert str(config) in err


@pytest.mark.parametrize("content", ["site: [", "\tops: x", "ops:\n  socket: /nonexistent/s.sock\nsite: ["])
def test_a_file_that_is_just_being_edited_does_not_keep_the_daemon_from_being_asked(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text(content)

    assert refused(capsys, "status", "-c", str(config))[0] == 69


@pytest.mark.parametrize("content", ["ops: 5", "ops: []", "ops: {socket: 5}", "ops: {socket: [a]}", "- a", "5", ""])
def test_an_odd_ops_section_does_not_keep_a_question_from_being_asked(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text(content)

    status, err = refused(capsys, "status", "-c", str(config))

    assert status == 69
    assert "Traceback" not in err


def test_an_alarms_code_is_explained_without_a_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "billing-held", "-c", "/nonexistent"]) == 0

    out, err = capsys.readouterr()
    assert out.startswith("billing-held: whether it is up now only a running edged can say\n\nA reading would change")
    assert "\nAffected: nobody is newly blocked" in out
    assert "(docs/everyday.md)" in out
    assert max(map(len, out.splitlines())) <= 80
    assert err == ""


def test_a_mistyped_code_is_answered_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "edged.yaml").write_text(f"ops: {{socket: {tmp_path}/control.sock}}")

    status, err = refused(capsys, "explain", "billing-hled", "-c", str(tmp_path / "edged.yaml"))

    assert status == 69
    assert 'did you mean the alarm "billing-held"?' in err


@pytest.mark.parametrize("since", ["soon", "27.11.2026", "2026-11-27T18:00", "-1d", ""])
def test_a_beginning_that_is_none_is_status_2(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, err = refused(capsys, "log", "1", f"--since={since}", "-c", EXAMPLE)

    assert status == 2
    assert "is no beginning; 7d, 2026-11-27 (that day, here)" in err


# --- files -----------------------------------------------------------------------------------------


def test_a_csv_that_is_not_utf_8_is_refused_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = tmp_path / "keys.csv"
    csv.write_bytes("ssid,label\nRésidence,Flat 12\n".encode("latin-1"))

    assert refused(capsys, "keys", "-c", EXAMPLE, "import", str(csv)) == (1, "edged: that file is not UTF-8 text\n")


def test_a_csv_that_is_not_there_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = usage(capsys, "keys", "import", str(tmp_path / "absent.csv"))

    assert status == 2
    assert "No such file" in err


def test_init_where_nothing_may_be_written_is_refused_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").write_text("not a directory")

    status, err = refused(capsys, "init", "-c", str(tmp_path / "etc" / "edged" / "edged.yaml"))

    assert status == 1
    assert "was not written" in err


def test_init_leaves_a_configuration_that_is_there_alone_unless_it_is_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text("site: precious\n")
    arguments = ("init", "-c", str(config), "--billing", f"file:{tmp_path}/billing.yaml")

    assert refused(capsys, *arguments)[0] == 1
    assert config.read_text() == "site: precious\n"
    assert main([*arguments, "--force"]) == 0
    assert main(["check", "-c", str(config)]) == 0


def test_a_secret_that_init_asks_for_is_a_file_of_its_own_that_its_owner_alone_may_read(tmp_path: Path) -> None:
    config = tmp_path / "edged.yaml"

    assert main(["init", "-c", str(config), "--billing", "https://billing.example.net/feed"]) == 0

    secret = tmp_path / "secrets" / "billing"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert f"secret: !file {secret}" in config.read_text()
    assert config.stat().st_mode & 0o007 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_init_writes_as_root_belongs_to_whom_its_folder_belongs_to(tmp_path: Path) -> None:
    folder, secrets = tmp_path / "edged", tmp_path / "edged/secrets"
    secrets.mkdir(parents=True)
    os.chown(folder, 0, 23456)
    os.chown(secrets, 12345, 23456)

    assert main(["init", "-c", str(folder / "edged.yaml"), "--billing", "https://billing.example.net/feed"]) == 0

    written = {file.name: file.stat() for file in (folder / "edged.yaml", secrets / "billing")}
    assert {name: (at.st_uid, at.st_gid, at.st_mode & 0o777) for name, at in written.items()} == {
        "edged.yaml": (0, 23456, 0o640),
        "billing": (12345, 23456, 0o600),
    }


@pytest.mark.parametrize("source", ["splynx", "uisp"])
def test_init_asks_for_what_a_billing_system_wants_and_check_is_content_once_it_is_there(
    tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    assert main(["init", "-c", str(config), "--source", source, "--billing", "https://crm.example.net"]) == 0
    assert main(["check", "-c", str(config)]) == 78
    asked = capsys.readouterr().out
    assert "billing.key" in asked
    assert "billing.secret" in asked

    for name in ("billing-key", "billing"):
        (tmp_path / "secrets" / name).write_text("a secret")

    assert main(["check", "-c", str(config)]) == 0
    assert f"source: {source}" in config.read_text()


def test_what_init_refers_to_is_in_the_source_and_where_the_package_puts_it(tmp_path: Path) -> None:
    config = tmp_path / "edged.yaml"
    assert main(["init", "-c", str(config)]) == 0

    comments = " ".join(line.partition("#")[2] for line in config.read_text("utf-8").splitlines())
    named = re.findall(r"\b(?:docs|config)/[\w.-]*\w", comments)
    assert {"docs/configure.md", "config/edged.example.yaml"} <= set(named)
    assert all((ROOT / name).is_file() for name in named)
    assert "/usr/share/doc/edged, as docs/ and examples/" in comments
    package = (ROOT / "config/debian/build.sh").read_text("utf-8")
    assert "doc=$root/usr/share/doc/edged\n" in package
    assert re.search(r'^cp -r .*"\$tree/docs" "\$doc/"$', package, re.MULTILINE)
    assert re.search(r'^cp .*edged\.example\.yaml.* "\$doc/examples/"$', package, re.MULTILINE)
    assert (ROOT / "docs/reference/man/edged.yaml.5").is_file()


def test_the_url_of_the_page_pasted_for_its_host_is_the_host(tmp_path: Path) -> None:
    config = tmp_path / "edged.yaml"

    assert main(["init", "-c", str(config), "--portal", "https://portal.example.org/"]) == 0
    assert "url: https://portal.example.org\n" in config.read_text("utf-8")


def test_init_prints_what_dhcp_and_routers_may_say_of_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "-c", str(tmp_path / "edged.yaml"), "--portal", "portal.example.net"]) == 0

    said = capsys.readouterr().out
    uri = "https://portal.example.net/.well-known/captive-portal"
    assert uri in said
    assert f"DHCPv4 option 114    0x{uri.encode().hex()}\n" in said
    assert f"DHCPv6 option 103    0x{uri.encode().hex()}\n" in said
    assert f"RA option 37, whole  0x2507{uri.encode().hex()}00\n" in said


async def test_the_example_in_the_billing_file_of_init_is_a_list_once_its_marks_are_gone(tmp_path: Path) -> None:
    feed = tmp_path / "billing.yaml"
    assert main(["init", "-c", str(tmp_path / "edged.yaml"), "--no-input"]) == 0
    example = re.findall(r"(?m)^# ((?:\w+:|  - ).*)$", feed.read_text())
    feed.write_text("\n".join([*example, "keys: []", ""]))

    reading = await FileSource(feed, settle=0.0).read(None)

    assert reading is not None
    assert reading.snapshot.known == 4120
    assert [(one.id, one.state) for one in reading.snapshot.subscribers] == [("20417", "blocked"), ("20552", "notice")]
    assert reading.snapshot.id.startswith("1.")


def test_init_never_overwrites_a_secret_or_a_billing_file(tmp_path: Path) -> None:
    config, secret, feed = tmp_path / "edged.yaml", tmp_path / "secrets" / "billing", tmp_path / "billing.yaml"
    secret.parent.mkdir()
    secret.write_text("precious")
    feed.write_text("subscribers: []")

    for billing in ("https://billing.example.net/feed", f"file:{feed}"):
        assert main(["init", "-c", str(config), "--force", "--billing", billing]) == 0

    assert secret.read_text() == "precious"
    assert feed.read_text() == "subscribers: []"


def test_init_follows_no_link_that_the_daemon_may_have_put_among_its_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, link, elsewhere = tmp_path / "edged.yaml", tmp_path / "secrets" / "billing", tmp_path / "elsewhere"
    link.parent.mkdir()
    link.symlink_to(elsewhere)

    status, err = refused(capsys, "init", "-c", str(config), "--billing", "https://billing.example.net/feed")

    assert status == 1
    assert f"{link} was not written: Too many levels of symbolic links" in err
    assert not elsewhere.exists()
    assert not config.exists()


def test_check_tells_a_program_the_same_facts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text("mode: wach")

    assert main(["check", "--json", "-c", str(config)]) == 78
    facts = json.loads(capsys.readouterr().out)
    assert facts["good"] is False
    assert facts["problems"][0]["hint"] == 'did you mean "watch"?'
    assert main(["check", "--json", "-c", EXAMPLE]) == 0
    assert json.loads(capsys.readouterr().out)["good"] is True


AS_YAML = (
    "hunter2", "'hunter2'", '"hunter2"', "h,hunter2", "h#hunter2", '"h\\"hunter2"', "'h''hunter2'", "|\n      hunter2",
    ">\n      hunter2", "\n      hunter2", "'h\n      hunter2'", "!hunter2", "!!hunter2 x", "&hunter2", "[hunter2]",
    "{hunter2: 1}",
)  # fmt: skip
NOT_YAML = (
    "*hunter2", "@hunter2", "%hunter2", "`hunter2`", '"\\hunter2"', "[hunter2", "{hunter2", "- hunter2", "hunter2: x",
    "? hunter2", "\n      hunter2: [",
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, value) for key in ("secret", "SECRET", '"secret"') for value in (*AS_YAML, *NOT_YAML)),
        *((key, value) for key in ("secrt", "pasword", "? secret\n    ") for value in AS_YAML),
    ],
)
def test_a_secret_written_into_the_file_is_never_printed_however_it_is_written(
    key: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text(f"radius:\n  clients:\n  - name: a\n    {key}: {value}\n    dialect: x\n")

    assert main(["check", "-c", str(config)]) == 78
    assert main(["check", "--json", "-c", str(config)]) == 78

    assert "hunter2" not in capsys.readouterr().out
