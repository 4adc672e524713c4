# SPDX-License-Identifier: Apache-2.0
"""edged's target on a stand-in that its own script prepared: it gets in, and has nothing to do. Not RouterOS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.enforce.diff import diff
from edged.enforce.routeros.script import preparing, removing
from tests.e2e.enforce_contract import RULES, subscriber, wanted
from tests.routeros.background import running
from tests.routeros.server import router
from tests.routeros_lab import bring, listed, target
from tests.routeros_scripts import API, PASSWORD, filled, foreign, furnished, rules_of, written

LINES = wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56"))


@pytest.mark.parametrize("version", ["6.49.10", "7.18.2"])
@pytest.mark.parametrize("rules", ["write", "leave"])
async def test_the_target_gets_in_and_its_first_reconcile_changes_nothing(rules: str, version: str) -> None:
    server = router(version, user="noc")
    server.console = furnished(version)
    before = foreign(server.console)
    api = replace(API, layout=replace(API.layout, rules=rules == "write"))
    with running(server) as at:
        at.do(lambda: at.server.console.script(filled(preparing(api))))
        pasted = at.do(lambda: rules_of(at.server.console))
        async with target(at, password=PASSWORD, rules=rules) as ours:
            await ours.start(RULES)
            assert diff(wanted(), await ours.read(), ours.carries).empty

            await bring(ours, LINES)
            assert listed(at) == {"100.64.1.7", "2001:db8:100:700::/56", "192.0.2.77"}
            assert at.do(lambda: rules_of(at.server.console)) == pasted
            # an older operator pastes it again: the lines that are blocked stay so
            assert at.do(lambda: written(at.server.console, preparing(api))) == []
            assert (await bring(ours, LINES)).empty

            at.do(lambda: at.server.console.script(removing(api)))
            assert listed(at) == {"192.0.2.77"}
        assert at.do(lambda: foreign(at.server.console)) == before
