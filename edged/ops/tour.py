# SPDX-License-Identifier: Apache-2.0
"""What to try against an edged that runs on loopback, from its own configuration. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.ops.rooms import House


def tour_text(house: House) -> str:
    """Commands to copy, one a line, each with what it shows."""
    config, document = house.loaded.config, house.loaded.document
    edged = f"edged -c {document.path}"
    rows: list[tuple[str, str]] = []
    if config.portal.url:
        rows.append(("the page, as your own browser sees it", f"{config.portal.url}/"))
    table = house.current.view.table
    for subscriber in table.subscribers.values():
        if subscriber.account.amount_due:
            name = f"the page of subscriber {subscriber.id}, brand {subscriber.brand or 'default'}, with the amount"
            rows.append((name, house.captive.link(subscriber.id)))
    dns = next((e for e in config.dns.listen if e.address.version == 4), None)
    if dns:
        rows.append(
            (
                "the sinkhole, as a blocked subscriber",
                f"dig @{dns.address} -p {dns.port} -b 127.0.0.2 example.com",
            )
        )
    http = next((e for e in config.portal.listen.http if e.address.version == 4), None)
    if http:
        rows.append(("the redirector", f"curl -i --interface 127.0.0.2 -H 'Host: example.com' http://{http}/"))
    auth = next(iter(config.radius.auth), None)
    if auth:
        request = (
            "echo User-Name=02005e100009,User-Password=02005e100009,Calling-Station-Id=02-00-5E-10-00-09,"
            "Called-Station-Id=02-00-5E-00-00-01:Residence,Message-Authenticator=0x00"
        )
        rows.append(
            (
                "a resident's device asks for its key",
                f"{request} | radclient -x {auth} auth try-it-secret-0001",
            )
        )
    listing = edged.replace("edged ", ".venv/bin/edged ", 1) if "example" in document.path else edged
    command, _, flags = listing.partition(" ")
    rows += [
        ("the dashboard", f"http://{house.ops.endpoint}/" if house.ops.endpoint else ""),
        ("is all well?", f"{command} status {flags}"),
        ("why does this line see a page?", f"{command} explain {flags} 127.0.0.2"),
        ("the keys", f"{command} keys {flags} list"),
        (
            "pay: set the state of 1001 to active and watch the page",
            f"editor {config.billing.path}" if config.billing and config.billing.path else "",
        ),
    ]
    lines = ["", f"edged serves {config.site}. Try, in another terminal:", ""]
    for what, how in rows:
        if how:
            lines += [f"  # {what}", f"  {how}", ""]
    return "\n".join([*lines, "Ctrl-C ends it.", ""])
