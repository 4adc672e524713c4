# SPDX-License-Identifier: Apache-2.0
"""The last good list and the journal of words beside it, on a real disk: torn, foreign, full, forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.errors import UpstreamError
from edged.model import Account, Snapshot, State, Subscriber
from edged.state import snapshots
from edged.state.snapshots import SnapshotFiles
from edged.values import parse_prefix

ANA = Subscriber("1", State.BLOCKED, "unpaid", 5.0, (parse_prefix("100.64.1.7"),), account=Account("Ana", "49.90"))
BEN = Subscriber("2", State.NOTICE)
LIST = Snapshot("7.aa", "7", 1.0, (ANA, BEN), known=100)
PAID = replace(ANA, state=State.ACTIVE)


@pytest.fixture
def files(tmp_path: Path) -> SnapshotFiles:
    made = SnapshotFiles(tmp_path)
    made.save(replace(LIST, id="6.00"))
    made.save(LIST)
    return made


def journal(tmp_path: Path) -> Path:
    return tmp_path / "words.jsonl"


def test_words_are_found_beside_the_list_they_change(files: SnapshotFiles, tmp_path: Path) -> None:
    assert files.append([PAID])
    assert files.append([replace(BEN, state=State.BLOCKED)])

    found = SnapshotFiles(tmp_path).load()

    assert found.snapshot == LIST
    assert found.words == (PAID, replace(BEN, state=State.BLOCKED))
    assert journal(tmp_path).stat().st_mode & 0o777 == 0o600


def test_the_last_word_on_each_counts(files: SnapshotFiles, tmp_path: Path) -> None:
    for word in (PAID, ANA, PAID, ANA):
        files.append([word])

    assert SnapshotFiles(tmp_path).load().words == (ANA,)


def test_a_list_of_an_earlier_version_is_read_and_an_invoice_number_survives(tmp_path: Path) -> None:
    files, numbered = SnapshotFiles(tmp_path), replace(ANA, account=Account("Ana", "49.90", invoice="2026-7"))
    files.save(LIST)
    # six fields: what every version before the seventh wrote
    assert b'["Ana","49.90","","","",""]' in (tmp_path / "snapshot.jsonl").read_bytes()
    assert files.load().snapshot == LIST
    changed = replace(LIST, id="8.bb", subscribers=(numbered, BEN))

    files.save(changed)

    assert SnapshotFiles(tmp_path).load().snapshot == changed


def test_a_new_list_forgets_the_words_on_the_one_before(files: SnapshotFiles, tmp_path: Path) -> None:
    files.append([PAID])
    files.save(replace(LIST, id="8.bb"))

    assert SnapshotFiles(tmp_path).load().words == ()


def test_words_on_another_list_are_not_read(files: SnapshotFiles, tmp_path: Path) -> None:
    files.append([PAID])
    kept = journal(tmp_path).read_bytes()
    files.save(replace(LIST, id="8.bb"))
    journal(tmp_path).write_bytes(kept)  # a crash between the list and the forgetting of its words

    again = SnapshotFiles(tmp_path)

    assert again.load().words == ()
    assert not again.append([PAID]), "what is not read must not be added to"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_word_that_a_crash_cut_off_is_left_out_and_nothing_is_added_after_it(
    files: SnapshotFiles, tmp_path: Path, cut: int
) -> None:
    files.append([PAID])
    files.append([replace(BEN, state=State.BLOCKED)])
    journal(tmp_path).write_bytes(journal(tmp_path).read_bytes()[:-cut])

    again = SnapshotFiles(tmp_path)
    found = again.load()

    # a newline alone may be missing: the word is whole all the same
    assert found.words in {(PAID,), (PAID, replace(BEN, state=State.BLOCKED))}
    assert not again.append([BEN])


def test_a_word_of_which_one_octet_changed_is_left_out(files: SnapshotFiles, tmp_path: Path) -> None:
    files.append([PAID])
    octets = journal(tmp_path).read_bytes()
    for place in range(0, len(octets) - 1, 11):
        changed = octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]
        journal(tmp_path).write_bytes(changed)

        assert SnapshotFiles(tmp_path).load().words == (), place


def test_a_disk_that_does_not_take_a_word_is_told_of_and_the_whole_list_is_due(
    files: SnapshotFiles, tmp_path: Path
) -> None:
    journal(tmp_path).mkdir()  # the real error of the real system call

    with pytest.raises(UpstreamError, match=r"words\.jsonl"):
        files.append([PAID])

    journal(tmp_path).rmdir()
    assert not files.append([PAID])


def test_after_some_ten_thousand_words_the_whole_list_is_due(
    files: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "_JOURNAL_OCTETS", 100)

    assert files.append([PAID])
    assert not files.append([PAID])


def test_nothing_is_added_where_there_is_no_list(tmp_path: Path) -> None:
    assert not SnapshotFiles(tmp_path).append([PAID])


def test_nothing_is_added_to_a_list_of_which_there_is_one_generation_alone(tmp_path: Path) -> None:
    alone = SnapshotFiles(tmp_path)
    alone.save(LIST)

    assert not alone.append([PAID])
