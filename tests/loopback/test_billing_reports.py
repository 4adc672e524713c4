"""What an edge tells its hub of itself."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged.billing.reporting.service import Pace, ReportService
from edged.billing.settings import BillingSettings
from tests.loopback.billing_edge import people
from tests.loopback.house import ONE_LIST, at_work, written
from tests.loopback.signed_server import PUBLIC, SignedServer, serve


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def service(url: str, facts: Callable[[], dict[str, Any]], pace: Pace) -> ReportService:
    document = {"source": "hub", "url": url, "key": "k", "signed_by": [PUBLIC]}
    return ReportService(BillingSettings.model_validate(document), facts, pace=pace)


async def test_a_report_is_sent_when_an_alarm_comes_or_goes_and_otherwise_seldom() -> None:
    facts: dict[str, Any] = {"edge": "tower-7", "alarms": []}
    server = SignedServer()
    async with serve(server), asyncio.TaskGroup() as group:
        reports = service(server.url, lambda: dict(facts), Pace(every=600.0, look=0.02))
        running = group.create_task(reports.run())
        await until(lambda: len(server.reports) == 1)
        facts["alarms"] = ["billing-held"]
        await until(lambda: len(server.reports) == 2)
        facts["alarms"] = []
        await until(lambda: len(server.reports) == 3)
        await asyncio.sleep(0.2)  # ten looks at the same alarms
        running.cancel()
        await until(lambda: reports.counters.posted == 3)
        await reports.stop()
    assert [report["alarms"] for report in server.reports] == [[], ["billing-held"], []]


async def test_a_hub_that_takes_no_report_is_counted_and_told_again() -> None:
    server = SignedServer(down=True)
    async with serve(server), asyncio.TaskGroup() as group:
        reports = service(server.url, lambda: {"alarms": []}, Pace(every=0.02, look=0.01))
        running = group.create_task(reports.run())
        await until(lambda: reports.counters.failed >= 2)
        server.down = False
        await until(lambda: reports.counters.posted >= 1)
        running.cancel()
        await reports.stop()


async def test_a_house_at_a_hub_blocks_whom_the_hub_names_and_tells_it_so(tmp_path: Path) -> None:
    server = SignedServer(people(1, 2, addresses=("127.0.0.9",)), keys=[])
    async with serve(server):
        configuration = ONE_LIST.replace(
            "source: file, path: {directory}/billing.yaml", "source: hub, url: {hub}, key: k, signed_by: [{public}]"
        )
        house = written(tmp_path, configuration, hub=server.url, public=b64encode(PUBLIC).decode())
        assert house.office.reports is not None
        house.office.reports._pace = Pace(every=0.05, look=0.02)
        async with at_work(house):
            await until(lambda: any(report.get("blocked") == 2 and report["keys"] for report in server.reports))
    last = server.reports[-1]
    assert (last["edge"], last["mode"], last["source"]) == ("tower-12", house.loaded.config.mode, "hub")
    assert (last["subscribers"], last["keys"], last["listed"], last["held"]) == ("r0", "r0", 2, "")
    assert "addresses-contested" in last["alarms"]
    assert abs(last["read_at"] - last["at"]) < 30
