# SPDX-License-Identifier: Apache-2.0
"""The API of the page in, the part of a RouterOS script that names it in DHCPv4 out. Pure. RFC 8910 section 2.1.

Manual "DHCP server": an option is a row with a code and a value, and each network has a list of options by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from edged.enforce.routeros.access import masked
from edged.enforce.routeros.commands import literal
from edged.values import Prefix

OPTION = "edged-captive-portal"
"""The name by which the option is found again."""
_CODE = 114
NETWORKS = "/ip/dhcp-server/network"
_PATH, _OPTION = "/ip dhcp-server network", "/ip dhcp-server option"


def dhcp_part(uri: bytes, networks: Sequence[Prefix]) -> str:
    """Option 114 with ``uri`` for every DHCP network inside ``networks``, beside the options that are there.

    Nothing for either: our option goes, everywhere.
    """
    inside = " || ".join(f'(($is->"address") in {masked(prefix)})' for prefix in networks if prefix.version == 4)
    name, value = literal(OPTION), literal(f"0x{uri.hex()}")
    ensured = f"""\
:if ($good && ([:len [{_OPTION} find name={name}]] = 0)) do={{
  {_OPTION} add name={name} code={_CODE} value={value}
}}
:foreach option in=[{_OPTION} find name={name}] do={{
  :if ([:tostr [{_OPTION} get $option value]] != {value}) do={{ {_OPTION} set $option value={value} }}
}}
"""
    return f"""\
:local good {"true" if uri and inside else "false"}
:foreach option in=[{_OPTION} find code={_CODE}] do={{
  :if ([:tostr [{_OPTION} get $option name]] != {name}) do={{
    :if ($good) do={{ :put "  by hand: there is an option {_CODE} that is not this script's, so none was added" }}
    :set good false
  }}
}}
{ensured if uri else ""}\
:foreach network in=[{_PATH} find] do={{
  :local is [{_PATH} get $network]
  :local wanted ($good && ({inside or "false"}))
  :local has false
  :local options [:toarray ""]
  :foreach option in=[:toarray ($is->"dhcp-option")] do={{
    :if ([:tostr $option] = {name}) do={{ :set has true }} else={{ :set options ($options , $option) }}
  }}
  :if ($wanted != $has) do={{
    :if ($wanted) do={{ :set options ($options , {name}) }}
    :if ([:len $options] > 0) do={{ {_PATH} set $network dhcp-option=$options }} else={{
      {_PATH} set $network dhcp-option=""
    }}
  }}
}}
:if (!$good) do={{
  :foreach option in=[{_OPTION} find name={name}] do={{ {_OPTION} remove $option }}
}}"""
