# SPDX-License-Identifier: Apache-2.0
"""How edged gets at a router in, the parts of a RouterOS script that let it in out. Pure.

Manuals "User", "Services", "Certificates", "RADIUS". What others set is never narrowed or replaced: the script says
what is left to do by hand. No secret of the configuration is here: the operator fills in a variable.
"""

from __future__ import annotations

from collections.abc import Sequence

from edged.enforce.routeros.commands import literal
from edged.enforce.routeros.sections import SCRIPT_TAG
from edged.values import Prefix

GROUP = "edged"
RIGHTS = ("read", "write", "api")
"""The least that the API target needs: to see the lists, to change them, to log in."""
CERTIFICATE = "edged-api"
_SIGNING_S = 30
"""Seconds that a small router may take to sign a certificate."""


def user_needs_password(user: str) -> str:
    """Stops the script before anything is changed while a password is needed and not filled in."""
    return f"""\
:if (([:len $password] = 0) && ([:len [/user find name={literal(user)}]] = 0)) do={{
  :error "nothing was changed: write the user's password into the line that begins with :local password"
}}"""


def user_part(user: str, sources: Sequence[Prefix]) -> str:
    """The user's group and the user, whom the router lets in from ``sources`` alone."""
    rights, address = ",".join(RIGHTS), ",".join(map(masked, sources))
    name, group, tag = literal(user), literal(GROUP), literal(SCRIPT_TAG)
    wanted = f"group={group} address={literal(address)}"
    return f"""\
:if ([:len [/user group find name={group}]] = 0) do={{
  /user group add name={group} policy={literal(rights)} comment={tag}
}}
:foreach item in=[/user group find name={group}] do={{
  :local lacks [:toarray {literal(rights)}]
  :local more 0
  :foreach right in=[:toarray [/user group get $item policy]] do={{
    :if ([:len [:find $lacks [:tostr $right]]] > 0) do={{ :set more ($more + 1) }} else={{
      :if ([:pick [:tostr $right] 0 1] != "!") do={{ :set more 99 }}
    }}
  }}
  :if ($more != {len(RIGHTS)}) do={{
    :if ([:tostr [/user group get $item comment]] = {tag}) do={{
      /user group set $item policy={literal(rights)}
    }} else={{
      :put {literal(f"  by hand: the group {GROUP} is not this script's; it should have {rights} and no more")}
    }}
  }}
}}
:if ([:len [/user find name={name}]] = 0) do={{
  /user add name={name} {wanted} password=$password comment={tag}
}}
:foreach item in=[/user find name={name}] do={{
  :local is [/user get $item]
  :local from [:tostr ($is->"address")]
  :local right (($from = {literal(address)}) || ($from = {literal(address.replace(",", ";"))}))
  :if (!($right && ([:tostr ($is->"group")] = {group}) && ([:tostr ($is->"disabled")] != "true"))) do={{
    :if ([:tostr ($is->"comment")] = {tag}) do={{ /user set $item {wanted} disabled=no }} else={{
      :put {literal(f"  by hand: that user is not this script's; it should be of the group {GROUP}, from {address}")}
    }}
  }}
}}
{_other_users(user)}"""


def _other_users(user: str) -> str:
    """Users that an older script made."""
    return f"""\
:foreach item in=[/user find comment={literal(SCRIPT_TAG)}] do={{
  :if ([:tostr [/user get $item name]] != {literal(user)}) do={{ /user remove $item }}
}}"""


def nobody_part() -> str:
    """No user of ours and no group."""
    return f"""\
{_other_users("")}
:foreach item in=[/user group find name={literal(GROUP)}] do={{
  :if ([:tostr [/user group get $item comment]] = {literal(SCRIPT_TAG)}) do={{
    :do {{ /user group remove $item }} on-error={{ :put "  the group of the user is still in use and stays" }}
  }}
}}"""


def service_part(*, tls: bool, port: int, host: str, sources: Sequence[Prefix]) -> str:
    """The API's service: switched on for ``sources`` where nobody uses it; where somebody does, left as it is."""
    name, address = ("api-ssl" if tls else "api"), ",".join(map(masked, sources))
    spellings = dict.fromkeys(text for source in sources for text in (masked(source), str(source)))
    same = " || ".join(f"($text = {literal(text)})" for text in spellings)
    return f"""\
:local service ""
:foreach item in=[/ip service find name="{name}"] do={{ :if ([:len $service] = 0) do={{ :set service $item }} }}
{_certificate(host) if tls else ""}\
:local is [/ip service get $service]
:local off ([:tostr ($is->"disabled")] = "true")
:local everybody ([:len [:tostr ($is->"address")]] = 0)
:local lets 0
:foreach part in=[:toarray ($is->"address")] do={{
  :local text [:tostr $part]
  :if ({same}) do={{ :set lets ($lets + 1) }}
}}
:local knows ($lets = {len(sources)})
:if ($off && $everybody) do={{ /ip service set $service address={literal(address)} disabled=no }}
:if ($off && $knows) do={{ /ip service set $service disabled=no }}
:if (!$everybody && !$knows) do={{
  :put {literal(f"  by hand: {name} is limited to addresses of others; see that it is on and open to {address}")}
}}
:if (!$off && $everybody) do={{
  :put {literal(f"  {name} is on and open to every address, which others may rely on; nothing was changed there")}
}}
:if ([:tostr ($is->"port")] != "{port}") do={{
  :put ({literal(f"  {name} is on port ")} . [:tostr ($is->"port")] . {literal(f", edged's configuration says {port}")})
}}"""


def masked(prefix: Prefix) -> str:
    """With its length, a host's too."""
    return f"{prefix}/{prefix.length}" if prefix.is_host else str(prefix)


def _certificate(host: str) -> str:
    name = literal(CERTIFICATE)
    return f"""\
:local certificate [:tostr [/ip service get $service certificate]]
:if (($certificate = "none") || ([:len $certificate] = 0)) do={{
  :if ([:len [/certificate find name={name}]] = 0) do={{
    /certificate add name={name} common-name={literal(host)} days-valid=3650
  }}
  :if ([:len [:tostr [/certificate get [/certificate find name={name}] fingerprint]]] = 0) do={{
    /certificate sign {name}
  }}
  :local left {_SIGNING_S}
  :while (($left > 0) && ([:len [:tostr [/certificate get [/certificate find name={name}] fingerprint]]] = 0)) do={{
    :delay 1s
    :set left ($left - 1)
  }}
  /ip service set $service certificate={name}
  :set certificate {name}
}}
:foreach item in=[/certificate find name=$certificate] do={{
  :put ("  fingerprint for edged's configuration: " . [:tostr [/certificate get $item fingerprint]])
}}
"""


# --- a BNG that is told over RADIUS ------------------------------------------------------------------


def radius_needs_secret(sources: Sequence[Prefix]) -> str:
    """Stops the script before anything is changed while a secret is needed and not filled in."""
    return "\n".join(
        f"""\
{{
  :local missing true
  :foreach item in=[/radius find] do={{
    :if ([:tostr [/radius get $item address]] = {literal(str(source))}) do={{ :set missing false }}
  }}
  :if ($missing && ([:len $secret] = 0)) do={{
    :error "nothing was changed: write the shared secret into the line that begins with :local secret"
  }}
}}"""
        for source in sources
    )


def radius_part(sources: Sequence[Prefix], port: int) -> str:
    """CoA and Disconnect from ``sources``: listened for, and each of them a server that the router asks nothing."""
    return f"""\
:if ([:tostr [/radius incoming get accept]] != "true") do={{ /radius incoming set accept=yes port={port} }}
:if ([:tostr [/radius incoming get port]] != "{port}") do={{
  :put ("  it listens on port " . [:tostr [/radius incoming get port]] . ", edged's configuration says {port}")
}}
{radius_entries(sources)}"""


def radius_entries(sources: Sequence[Prefix]) -> str:
    """An entry of ours for each of ``sources``, without a service, so that no login is sent there; no other of ours."""
    wanted = literal("".join(f"|{source}" for source in sources) + "|")
    tag = literal(SCRIPT_TAG)
    lines = [f"""\
:foreach item in=[/radius find comment={tag}] do={{
  :if ([:len [:find {wanted} ("|" . [:tostr [/radius get $item address]] . "|")]] = 0) do={{ /radius remove $item }}
}}"""]  # fmt: skip
    for source in sources:
        address = literal(str(source))
        lines.append(f"""\
{{
  :local there ""
  :foreach item in=[/radius find] do={{
    :if ([:tostr [/radius get $item address]] = {address}) do={{ :set there [:tostr [/radius get $item comment]] }}
    :if (([:tostr [/radius get $item address]] = {address}) && ([:len $there] = 0)) do={{ :set there "-" }}
  }}
  :if ([:len $there] = 0) do={{ /radius add address={address} secret=$secret comment={tag} }}
  :if (([:len $there] > 0) && ($there != {tag})) do={{
    :put {literal(f"  by hand: the secret of the entry for {source} must be that of edged's configuration")}
  }}
}}""")
    return "\n".join(lines)
