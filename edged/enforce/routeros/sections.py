# SPDX-License-Identifier: Apache-2.0
"""Wanted rules and wanted entries in, the parts of a RouterOS script that bring one menu to them out. Pure.

Each part looks at what is there and writes what is missing alone, so a second run writes nothing. RouterOS' manual
"Scripting"; menus are spelled with blanks, which 6 and 7 both read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent

from edged.enforce.routeros.commands import literal
from edged.enforce.routeros.layout import LEARNED, TAG
from edged.enforce.routeros.order import HOOKS
from edged.enforce.routeros.rows import Row

SCRIPT_TAG = "edged-script"
"""Of what the script alone keeps. ``layout.is_ours`` does not know it, so no target of edged's ever takes it away."""
TAGS = (TAG, SCRIPT_TAG)

_NARROWING = (
    "connection-bytes", "connection-limit", "connection-mark", "connection-nat-state", "connection-rate",
    "connection-state", "connection-type", "content", "dscp", "dst-address", "dst-address-list", "dst-address-type",
    "dst-limit", "dst-port", "in-interface", "in-interface-list", "limit", "nth", "out-interface", "out-interface-list",
    "packet-mark", "packet-size", "port", "protocol", "random", "routing-mark", "src-address", "src-address-list",
    "src-address-type", "src-mac-address", "src-port", "tcp-flags", "time", "tls-host", "ttl",
)  # fmt: skip
"""What a hand may have added to a rule, so that it is another one."""

_STANDS = """\
:local stands do={{
  :foreach rule in=[{path} find comment=$1 dynamic=no] do={{
    :local is [{path} get $rule]
    :local same ([:tostr ($is->"disabled")] != "true")
    :foreach key,text in=$2 do={{
      :local has [:tostr ($is->$key)]
      :if (($has != $text) && ($has != [:tostr [:toarray $text]])) do={{ :set same false }}
    }}
    :foreach key in={{{narrowing}}} do={{
      :if (([:len [:tostr ($is->$key)]] > 0) && ([:len ($2->$key)] = 0)) do={{ :set same false }}
    }}
    :if ($same) do={{ :return $rule }}
  }}
  :return ""
}}
:local rule ""
:local fields ""
:local ids [:toarray ""]"""
"""The rule with the comment ``$1`` that is as the array ``$2`` says. Lists come back with commas or as arrays."""


def console_path(menu: str) -> str:
    """``/ip firewall nat`` of ``/ip/firewall/nat``."""
    return "/" + menu[1:].replace("/", " ")


def given(fields: Mapping[str, str]) -> str:
    """Arguments, every value in quotes."""
    return " ".join(f"{name}={literal(value)}" for name, value in fields.items())


def where_it_is(menu: str, body: str, otherwise: str = "") -> str:
    """``body`` as a part that a router without ``menu`` passes over; ``otherwise`` is told then, where it is anything.

    A script is read as a whole before any of it is done, so what a release may not know stands in a text.
    """
    return f"""\
{{
  :local has true
  :do {{
    :local probe [:parse {literal(f"{console_path(menu)} find")}]
    $probe
  }} on-error={{ :set has false }}
  :if ($has) do={{
    :local part [:parse {_long(body)}]
    $part
  }}{f" else={{ :put {literal(otherwise)} }}" if otherwise else ""}
}}
"""


def _long(body: str) -> str:
    """A text of several lines, each on a line of its own: a backslash at its end goes on with the next one."""
    lines = [literal(line.strip())[1:-1] for line in body.splitlines() if line.strip()]
    return '"' + "\\n\\\n".join(lines) + '"'


# --- rules -----------------------------------------------------------------------------------------


def rules_part(menu: str, rows: Sequence[tuple[str, Row]]) -> str:
    """Brings a menu of rules to ``rows``, each with its comment.

    What is missing is added, what is stale removed, and ours are put before all others.
    """
    path = console_path(menu)
    chains = list(dict.fromkeys(row.fields["chain"] for _, row in rows))
    lines = [_STANDS.format(path=path, narrowing="; ".join(map(literal, _NARROWING)))] if rows else []
    lines += [f':local chain{place} ""' for place, _ in enumerate(chains)]
    for comment, row in rows:
        lines.append(_rule(path, comment, row, f"chain{chains.index(row.fields['chain'])}"))
    lines.append(" . ".join([':local kept ("|"', *(f"$chain{place}" for place, _ in enumerate(chains))]) + ")")
    lines.append(_stale_rules(path))
    if rows:
        lines.append(_order(path, chains))
    return "\n".join(lines)


def _rule(path: str, comment: str, row: Row, chain: str) -> str:
    fields = "; ".join(f"{literal(name)}={literal(value)}" for name, value in row.fields.items())
    add = f":set rule [{path} add {given({**row.fields, 'comment': comment})}]"
    if row.is_optional:
        add = f":do {{ {add} }} on-error={{ :put {literal(f'  the router does not take the rule: {row.key}')} }}"
    keep = f':set ids ($ids , $rule); :set {chain} (${chain} . $rule . "|")'
    return f"""\
:set fields {{{fields}}}
:set rule [$stands {literal(comment)} $fields]
:if ([:len $rule] = 0) do={{ {add} }}
{f":if ([:len $rule] > 0) do={{ {keep} }}" if row.is_optional else keep}"""


def _stale_rules(path: str) -> str:
    """Ours that are wanted no more; what leads into our chains before the chains."""
    hooks = [f'chain="{hook}" ' for hook in sorted(HOOKS) if _has(path, hook)]
    return "\n".join(
        f"""\
:foreach item in=[{path} find {chain}dynamic=no] do={{
  :local of [:tostr [{path} get $item comment]]
  :if ({_is_ours("$of")} && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={{ {path} remove $item }}
}}"""
        for chain in (*hooks, "")
    )


def _has(path: str, hook: str) -> bool:
    return path.endswith("filter") == (hook == "forward")


def _is_ours(name: str) -> str:
    """An expression: the comment ``name`` is that of a rule of edged's or of an older script's."""
    tests = [f"([:pick {name} 0 {len(tag) + 2}] = {literal(f'{tag}: ')})" for tag in TAGS]
    return f"({' || '.join(tests)})"


def _order(path: str, chains: Sequence[str]) -> str:
    """Ours in their order, and before everybody else's where others have rules too."""
    lines = [":local moves false", ':local order ""']
    for place, chain in enumerate(chains):
        take = ':set order ($order . $item . "|")'
        if chain not in HOOKS:
            take = f':if ([:len [:find $kept ("|" . $item . "|")]] > 0) do={{ {take} }}'
        lines.append(f"""\
:set order ""
:foreach item in=[{path} find chain={literal(chain)} dynamic=no] do={{ {take} }}
:if ([:pick $order 0 [:len $chain{place}]] != $chain{place}) do={{ :set moves true }}""")
    lines.append(f"""\
:if ($moves) do={{
  :local first ""
  :foreach item in=[{path} find dynamic=no] do={{
    :if (([:len $first] = 0) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={{ :set first $item }}
  }}
  :foreach item in=$ids do={{
    :if ([:len $first] > 0) do={{ {path} move $item destination=$first }} else={{ {path} move $item }}
  }}
}}""")
    return "\n".join(lines)


# --- lists -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """Whose the permanent entries are, and what of the lists is a target's own matter."""

    tag: str
    lists: tuple[str, ...]
    """The lists of the layout. ``edged`` as a comment in any other one may be an operator's own note."""
    blocked: str = ""
    """Whose entries of lines a target through the API keeps; empty: nobody does."""
    garden: str = ""
    """Where it keeps learned entries; empty: nobody does, and they go."""


def lists_part(menu: str, kept: Kept, wanted: Iterable[tuple[str, str]]) -> str:
    """Brings the permanent entries of a menu to ``wanted``: pairs of a list and an address as it is printed.

    Entries of lines and learned ones are thousands: none of them is looked at one by one.
    """
    path, pairs = console_path(menu), sorted(set(wanted))
    keys = "|".join(["", *(f"{listed} {address}" for listed, address in pairs), ""])
    ours = [f"list={literal(name)} {_comment(TAG)}" for name in kept.lists if name != kept.blocked]
    # what bears another tag would be in the way of the same entry with ours
    others, mine = ([_comment(SCRIPT_TAG)], ours) if kept.tag == TAG else (ours, [_comment(kept.tag)])
    others += [] if kept.garden else [_comment(LEARNED)]
    lines = [f":foreach entry in=[{path} find {what}] do={{ {path} remove $entry }}" for what in others]
    lines += [_give(path, kept.tag), f":local wanted {literal(keys)}", ':local there "|"']
    lines += [':local stale [:toarray ""]', *(_looked_at(path, what) for what in mine)]
    for listed, address in pairs:
        key = literal(f"|{listed} {address}|")
        lines.append(f":if ([:len [:find $there {key}]] = 0) do={{ $give {literal(listed)} {literal(address)} }}")
    lines.append(f":foreach entry in=$stale do={{ {path} remove $entry }}")
    return "\n".join([*lines, *_elsewhere(path, kept)])


def _comment(tag: str) -> str:
    return f"comment={literal(tag)}"


def _looked_at(path: str, what: str) -> str:
    """What of our entries may stay, and what goes when the missing ones are there."""
    return f"""\
:foreach entry in=[{path} find {what}] do={{
  :local is [{path} get $entry]
  :local key ("|" . [:tostr ($is->"list")] . " " . [:tostr ($is->"address")] . "|")
  :local lasts (([:tostr ($is->"disabled")] != "true") && ([:len [:tostr ($is->"timeout")]] = 0))
  :if ([:len [:find $wanted $key]] = 0) do={{ :set stale ($stale , $entry) }} else={{
    :if ($lasts && ([:len [:find $there $key]] = 0)) do={{
      :set there ($there . [:pick $key 1 [:len $key]])
    }} else={{ {path} remove $entry }}
  }}
}}"""


def _elsewhere(path: str, kept: Kept) -> list[str]:
    """Tells of entries that bear ``edged`` in lists that are none of ours."""
    inside = [f"[:len [{path} find list={literal(name)} comment={literal(TAG)}]]" for name in kept.lists]
    return [
        f":local elsewhere [:len [{path} find comment={literal(TAG)}]]",
        *(f":set elsewhere ($elsewhere - {count})" for count in inside),
        f""":if ($elsewhere > 0) do={{
  :put ("  by hand: other lists have entries with the comment {TAG}, of older names or of yours: " . $elsewhere)
}}""",
    ]


def _give(path: str, tag: str) -> str:
    """A function: adds an entry; a learned one that is in its way goes first."""
    add = f"{path} add list=$1 address=$2 comment={literal(tag)}"
    return f"""\
:local give do={{
  :do {{ {add} }} on-error={{
    :foreach entry in=[{path} find list=$1 comment={literal(LEARNED)}] do={{
      :if ([:tostr [{path} get $entry address]] = $2) do={{ {path} remove $entry }}
    }}
    :do {{ {add} }} on-error={{
      :put ("  " . $2 . " is not added to " . $1 . ": it is there as somebody else's, or the router does not take it")
    }}
  }}
}}"""


def block(body: str, title: str) -> str:
    """A part of a script, with names of its own."""
    return f"# {title}\n{{\n{indent(body.rstrip(), '  ')}\n}}\n"
