# Prepares the router "192.0.2.1" for edged. Running it again changes nothing.
{
# the user's password, as in edged's configuration; a backslash goes before each of these in it: \ " $
:local password ""
:if (([:len $password] = 0) && ([:len [/user find name="edged"]] = 0)) do={
  :error "nothing was changed: write the user's password into the line that begins with :local password"
}
# IPv4 lists
{
  :foreach entry in=[/ip firewall address-list find comment="edged-script"] do={ /ip firewall address-list remove $entry }
  :local give do={
    :do { /ip firewall address-list add list=$1 address=$2 comment="edged" } on-error={
      :foreach entry in=[/ip firewall address-list find list=$1 comment="edged: learned"] do={
        :if ([:tostr [/ip firewall address-list get $entry address]] = $2) do={ /ip firewall address-list remove $entry }
      }
      :do { /ip firewall address-list add list=$1 address=$2 comment="edged" } on-error={
        :put ("  " . $2 . " is not added to " . $1 . ": it is there as somebody else's, or the router does not take it")
      }
    }
  }
  :local wanted "|edged-garden 203.0.113.20|edged-portal 203.0.113.10|"
  :local there "|"
  :local stale [:toarray ""]
  :foreach entry in=[/ip firewall address-list find list="edged-garden" comment="edged"] do={
    :local is [/ip firewall address-list get $entry]
    :local key ("|" . [:tostr ($is->"list")] . " " . [:tostr ($is->"address")] . "|")
    :local lasts (([:tostr ($is->"disabled")] != "true") && ([:len [:tostr ($is->"timeout")]] = 0))
    :if ([:len [:find $wanted $key]] = 0) do={ :set stale ($stale , $entry) } else={
      :if ($lasts && ([:len [:find $there $key]] = 0)) do={
        :set there ($there . [:pick $key 1 [:len $key]])
      } else={ /ip firewall address-list remove $entry }
    }
  }
  :foreach entry in=[/ip firewall address-list find list="edged-portal" comment="edged"] do={
    :local is [/ip firewall address-list get $entry]
    :local key ("|" . [:tostr ($is->"list")] . " " . [:tostr ($is->"address")] . "|")
    :local lasts (([:tostr ($is->"disabled")] != "true") && ([:len [:tostr ($is->"timeout")]] = 0))
    :if ([:len [:find $wanted $key]] = 0) do={ :set stale ($stale , $entry) } else={
      :if ($lasts && ([:len [:find $there $key]] = 0)) do={
        :set there ($there . [:pick $key 1 [:len $key]])
      } else={ /ip firewall address-list remove $entry }
    }
  }
  :if ([:len [:find $there "|edged-garden 203.0.113.20|"]] = 0) do={ $give "edged-garden" "203.0.113.20" }
  :if ([:len [:find $there "|edged-portal 203.0.113.10|"]] = 0) do={ $give "edged-portal" "203.0.113.10" }
  :foreach entry in=$stale do={ /ip firewall address-list remove $entry }
  :local elsewhere [:len [/ip firewall address-list find comment="edged"]]
  :set elsewhere ($elsewhere - [:len [/ip firewall address-list find list="edged-blocked" comment="edged"]])
  :set elsewhere ($elsewhere - [:len [/ip firewall address-list find list="edged-garden" comment="edged"]])
  :set elsewhere ($elsewhere - [:len [/ip firewall address-list find list="edged-portal" comment="edged"]])
  :if ($elsewhere > 0) do={
    :put ("  by hand: other lists have entries with the comment edged, of older names or of yours: " . $elsewhere)
  }
}

# IPv6 lists
{
  :local has true
  :do {
    :local probe [:parse "/ipv6 firewall address-list find"]
    $probe
  } on-error={ :set has false }
  :if ($has) do={
    :local part [:parse ":foreach entry in=[/ipv6 firewall address-list find comment=\"edged-script\"] do={ /ipv6 firewall address-list remove \$entry }\n\
:local give do={\n\
:do { /ipv6 firewall address-list add list=\$1 address=\$2 comment=\"edged\" } on-error={\n\
:foreach entry in=[/ipv6 firewall address-list find list=\$1 comment=\"edged: learned\"] do={\n\
:if ([:tostr [/ipv6 firewall address-list get \$entry address]] = \$2) do={ /ipv6 firewall address-list remove \$entry }\n\
}\n\
:do { /ipv6 firewall address-list add list=\$1 address=\$2 comment=\"edged\" } on-error={\n\
:put (\"  \" . \$2 . \" is not added to \" . \$1 . \": it is there as somebody else's, or the router does not take it\")\n\
}\n\
}\n\
}\n\
:local wanted \"|edged-garden 2001:db8::20/128|edged-portal 2001:db8::10/128|\"\n\
:local there \"|\"\n\
:local stale [:toarray \"\"]\n\
:foreach entry in=[/ipv6 firewall address-list find list=\"edged-garden\" comment=\"edged\"] do={\n\
:local is [/ipv6 firewall address-list get \$entry]\n\
:local key (\"|\" . [:tostr (\$is->\"list\")] . \" \" . [:tostr (\$is->\"address\")] . \"|\")\n\
:local lasts (([:tostr (\$is->\"disabled\")] != \"true\") && ([:len [:tostr (\$is->\"timeout\")]] = 0))\n\
:if ([:len [:find \$wanted \$key]] = 0) do={ :set stale (\$stale , \$entry) } else={\n\
:if (\$lasts && ([:len [:find \$there \$key]] = 0)) do={\n\
:set there (\$there . [:pick \$key 1 [:len \$key]])\n\
} else={ /ipv6 firewall address-list remove \$entry }\n\
}\n\
}\n\
:foreach entry in=[/ipv6 firewall address-list find list=\"edged-portal\" comment=\"edged\"] do={\n\
:local is [/ipv6 firewall address-list get \$entry]\n\
:local key (\"|\" . [:tostr (\$is->\"list\")] . \" \" . [:tostr (\$is->\"address\")] . \"|\")\n\
:local lasts (([:tostr (\$is->\"disabled\")] != \"true\") && ([:len [:tostr (\$is->\"timeout\")]] = 0))\n\
:if ([:len [:find \$wanted \$key]] = 0) do={ :set stale (\$stale , \$entry) } else={\n\
:if (\$lasts && ([:len [:find \$there \$key]] = 0)) do={\n\
:set there (\$there . [:pick \$key 1 [:len \$key]])\n\
} else={ /ipv6 firewall address-list remove \$entry }\n\
}\n\
}\n\
:if ([:len [:find \$there \"|edged-garden 2001:db8::20/128|\"]] = 0) do={ \$give \"edged-garden\" \"2001:db8::20/128\" }\n\
:if ([:len [:find \$there \"|edged-portal 2001:db8::10/128|\"]] = 0) do={ \$give \"edged-portal\" \"2001:db8::10/128\" }\n\
:foreach entry in=\$stale do={ /ipv6 firewall address-list remove \$entry }\n\
:local elsewhere [:len [/ipv6 firewall address-list find comment=\"edged\"]]\n\
:set elsewhere (\$elsewhere - [:len [/ipv6 firewall address-list find list=\"edged-blocked\" comment=\"edged\"]])\n\
:set elsewhere (\$elsewhere - [:len [/ipv6 firewall address-list find list=\"edged-garden\" comment=\"edged\"]])\n\
:set elsewhere (\$elsewhere - [:len [/ipv6 firewall address-list find list=\"edged-portal\" comment=\"edged\"]])\n\
:if (\$elsewhere > 0) do={\n\
:put (\"  by hand: other lists have entries with the comment edged, of older names or of yours: \" . \$elsewhere)\n\
}"]
    $part
  } else={ :put "  the router has no IPv6 lists: that family is neither steered nor refused here" }
}

# IPv4 NAT
{
  :local stands do={
    :foreach rule in=[/ip firewall nat find comment=$1 dynamic=no] do={
      :local is [/ip firewall nat get $rule]
      :local same ([:tostr ($is->"disabled")] != "true")
      :foreach key,text in=$2 do={
        :local has [:tostr ($is->$key)]
        :if (($has != $text) && ($has != [:tostr [:toarray $text]])) do={ :set same false }
      }
      :foreach key in={"connection-bytes"; "connection-limit"; "connection-mark"; "connection-nat-state"; "connection-rate"; "connection-state"; "connection-type"; "content"; "dscp"; "dst-address"; "dst-address-list"; "dst-address-type"; "dst-limit"; "dst-port"; "in-interface"; "in-interface-list"; "limit"; "nth"; "out-interface"; "out-interface-list"; "packet-mark"; "packet-size"; "port"; "protocol"; "random"; "routing-mark"; "src-address"; "src-address-list"; "src-address-type"; "src-mac-address"; "src-port"; "tcp-flags"; "time"; "tls-host"; "ttl"} do={
        :if (([:len [:tostr ($is->$key)]] > 0) && ([:len ($2->$key)] = 0)) do={ :set same false }
      }
      :if ($same) do={ :return $rule }
    }
    :return ""
  }
  :local rule ""
  :local fields ""
  :local ids [:toarray ""]
  :local chain0 ""
  :local chain1 ""
  :set fields {"chain"="dstnat"; "src-address-list"="edged-blocked"; "protocol"="udp"; "dst-port"="53"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="5300"}
  :set rule [$stands "edged: steer dns udp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" src-address-list="edged-blocked" protocol="udp" dst-port="53" action="dst-nat" to-addresses="203.0.113.10" to-ports="5300" comment="edged: steer dns udp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="dstnat"; "src-address-list"="edged-blocked"; "protocol"="tcp"; "dst-port"="53"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="5300"}
  :set rule [$stands "edged: steer dns tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" src-address-list="edged-blocked" protocol="tcp" dst-port="53" action="dst-nat" to-addresses="203.0.113.10" to-ports="5300" comment="edged: steer dns tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="dstnat"; "src-address-list"="edged-blocked"; "protocol"="tcp"; "dst-port"="80"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="8080"}
  :set rule [$stands "edged: steer http tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" src-address-list="edged-blocked" protocol="tcp" dst-port="80" action="dst-nat" to-addresses="203.0.113.10" to-ports="8080" comment="edged: steer http tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="dstnat"; "src-address-list"="edged-blocked"; "protocol"="tcp"; "dst-port"="443"; "dst-address-list"="!edged-garden"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="8443"}
  :set rule [$stands "edged: steer https tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" src-address-list="edged-blocked" protocol="tcp" dst-port="443" dst-address-list="!edged-garden" action="dst-nat" to-addresses="203.0.113.10" to-ports="8443" comment="edged: steer https tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="dstnat"; "protocol"="udp"; "dst-address"="203.0.113.10"; "dst-port"="53"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="5300"}
  :set rule [$stands "edged: door dns udp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" protocol="udp" dst-address="203.0.113.10" dst-port="53" action="dst-nat" to-addresses="203.0.113.10" to-ports="5300" comment="edged: door dns udp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="dstnat"; "protocol"="tcp"; "dst-address"="203.0.113.10"; "dst-port"="53"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="5300"}
  :set rule [$stands "edged: door dns tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" protocol="tcp" dst-address="203.0.113.10" dst-port="53" action="dst-nat" to-addresses="203.0.113.10" to-ports="5300" comment="edged: door dns tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="dstnat"; "protocol"="tcp"; "dst-address"="203.0.113.10"; "dst-port"="80"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="8080"}
  :set rule [$stands "edged: door http tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" protocol="tcp" dst-address="203.0.113.10" dst-port="80" action="dst-nat" to-addresses="203.0.113.10" to-ports="8080" comment="edged: door http tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="dstnat"; "protocol"="tcp"; "dst-address"="203.0.113.10"; "dst-port"="443"; "action"="dst-nat"; "to-addresses"="203.0.113.10"; "to-ports"="8443"}
  :set rule [$stands "edged: door https tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="dstnat" protocol="tcp" dst-address="203.0.113.10" dst-port="443" action="dst-nat" to-addresses="203.0.113.10" to-ports="8443" comment="edged: door https tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="srcnat"; "dst-address-list"="edged-portal"; "action"="accept"}
  :set rule [$stands "edged: keep source" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall nat add chain="srcnat" dst-address-list="edged-portal" action="accept" comment="edged: keep source"] }
  :set ids ($ids , $rule); :set chain1 ($chain1 . $rule . "|")
  :local kept ("|" . $chain0 . $chain1)
  :foreach item in=[/ip firewall nat find chain="dstnat" dynamic=no] do={
    :local of [:tostr [/ip firewall nat get $item comment]]
    :if ((([:pick $of 0 7] = "edged: ") || ([:pick $of 0 14] = "edged-script: ")) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={ /ip firewall nat remove $item }
  }
  :foreach item in=[/ip firewall nat find chain="srcnat" dynamic=no] do={
    :local of [:tostr [/ip firewall nat get $item comment]]
    :if ((([:pick $of 0 7] = "edged: ") || ([:pick $of 0 14] = "edged-script: ")) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={ /ip firewall nat remove $item }
  }
  :foreach item in=[/ip firewall nat find dynamic=no] do={
    :local of [:tostr [/ip firewall nat get $item comment]]
    :if ((([:pick $of 0 7] = "edged: ") || ([:pick $of 0 14] = "edged-script: ")) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={ /ip firewall nat remove $item }
  }
  :local moves false
  :local order ""
  :set order ""
  :foreach item in=[/ip firewall nat find chain="dstnat" dynamic=no] do={ :set order ($order . $item . "|") }
  :if ([:pick $order 0 [:len $chain0]] != $chain0) do={ :set moves true }
  :set order ""
  :foreach item in=[/ip firewall nat find chain="srcnat" dynamic=no] do={ :set order ($order . $item . "|") }
  :if ([:pick $order 0 [:len $chain1]] != $chain1) do={ :set moves true }
  :if ($moves) do={
    :local first ""
    :foreach item in=[/ip firewall nat find dynamic=no] do={
      :if (([:len $first] = 0) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={ :set first $item }
    }
    :foreach item in=$ids do={
      :if ([:len $first] > 0) do={ /ip firewall nat move $item destination=$first } else={ /ip firewall nat move $item }
    }
  }
}

# IPv6 NAT
{
  :local has true
  :do {
    :local probe [:parse "/ipv6 firewall nat find"]
    $probe
  } on-error={ :set has false }
  :if ($has) do={
    :local part [:parse ":local stands do={\n\
:foreach rule in=[/ipv6 firewall nat find comment=\$1 dynamic=no] do={\n\
:local is [/ipv6 firewall nat get \$rule]\n\
:local same ([:tostr (\$is->\"disabled\")] != \"true\")\n\
:foreach key,text in=\$2 do={\n\
:local has [:tostr (\$is->\$key)]\n\
:if ((\$has != \$text) && (\$has != [:tostr [:toarray \$text]])) do={ :set same false }\n\
}\n\
:foreach key in={\"connection-bytes\"; \"connection-limit\"; \"connection-mark\"; \"connection-nat-state\"; \"connection-rate\"; \"connection-state\"; \"connection-type\"; \"content\"; \"dscp\"; \"dst-address\"; \"dst-address-list\"; \"dst-address-type\"; \"dst-limit\"; \"dst-port\"; \"in-interface\"; \"in-interface-list\"; \"limit\"; \"nth\"; \"out-interface\"; \"out-interface-list\"; \"packet-mark\"; \"packet-size\"; \"port\"; \"protocol\"; \"random\"; \"routing-mark\"; \"src-address\"; \"src-address-list\"; \"src-address-type\"; \"src-mac-address\"; \"src-port\"; \"tcp-flags\"; \"time\"; \"tls-host\"; \"ttl\"} do={\n\
:if (([:len [:tostr (\$is->\$key)]] > 0) && ([:len (\$2->\$key)] = 0)) do={ :set same false }\n\
}\n\
:if (\$same) do={ :return \$rule }\n\
}\n\
:return \"\"\n\
}\n\
:local rule \"\"\n\
:local fields \"\"\n\
:local ids [:toarray \"\"]\n\
:local chain0 \"\"\n\
:local chain1 \"\"\n\
:set fields {\"chain\"=\"dstnat\"; \"src-address-list\"=\"edged-blocked\"; \"protocol\"=\"udp\"; \"dst-port\"=\"53\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"5300\"}\n\
:set rule [\$stands \"edged: steer dns udp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" src-address-list=\"edged-blocked\" protocol=\"udp\" dst-port=\"53\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"5300\" comment=\"edged: steer dns udp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"dstnat\"; \"src-address-list\"=\"edged-blocked\"; \"protocol\"=\"tcp\"; \"dst-port\"=\"53\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"5300\"}\n\
:set rule [\$stands \"edged: steer dns tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" src-address-list=\"edged-blocked\" protocol=\"tcp\" dst-port=\"53\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"5300\" comment=\"edged: steer dns tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"dstnat\"; \"src-address-list\"=\"edged-blocked\"; \"protocol\"=\"tcp\"; \"dst-port\"=\"80\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"8080\"}\n\
:set rule [\$stands \"edged: steer http tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" src-address-list=\"edged-blocked\" protocol=\"tcp\" dst-port=\"80\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"8080\" comment=\"edged: steer http tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"dstnat\"; \"src-address-list\"=\"edged-blocked\"; \"protocol\"=\"tcp\"; \"dst-port\"=\"443\"; \"dst-address-list\"=\"!edged-garden\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"8443\"}\n\
:set rule [\$stands \"edged: steer https tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" src-address-list=\"edged-blocked\" protocol=\"tcp\" dst-port=\"443\" dst-address-list=\"!edged-garden\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"8443\" comment=\"edged: steer https tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"dstnat\"; \"protocol\"=\"udp\"; \"dst-address\"=\"2001:db8::10/128\"; \"dst-port\"=\"53\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"5300\"}\n\
:set rule [\$stands \"edged: door dns udp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" protocol=\"udp\" dst-address=\"2001:db8::10/128\" dst-port=\"53\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"5300\" comment=\"edged: door dns udp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"dstnat\"; \"protocol\"=\"tcp\"; \"dst-address\"=\"2001:db8::10/128\"; \"dst-port\"=\"53\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"5300\"}\n\
:set rule [\$stands \"edged: door dns tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" protocol=\"tcp\" dst-address=\"2001:db8::10/128\" dst-port=\"53\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"5300\" comment=\"edged: door dns tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"dstnat\"; \"protocol\"=\"tcp\"; \"dst-address\"=\"2001:db8::10/128\"; \"dst-port\"=\"80\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"8080\"}\n\
:set rule [\$stands \"edged: door http tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" protocol=\"tcp\" dst-address=\"2001:db8::10/128\" dst-port=\"80\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"8080\" comment=\"edged: door http tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"dstnat\"; \"protocol\"=\"tcp\"; \"dst-address\"=\"2001:db8::10/128\"; \"dst-port\"=\"443\"; \"action\"=\"dst-nat\"; \"to-address\"=\"2001:db8::10\"; \"to-ports\"=\"8443\"}\n\
:set rule [\$stands \"edged: door https tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"dstnat\" protocol=\"tcp\" dst-address=\"2001:db8::10/128\" dst-port=\"443\" action=\"dst-nat\" to-address=\"2001:db8::10\" to-ports=\"8443\" comment=\"edged: door https tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"srcnat\"; \"dst-address-list\"=\"edged-portal\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: keep source\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall nat add chain=\"srcnat\" dst-address-list=\"edged-portal\" action=\"accept\" comment=\"edged: keep source\"] }\n\
:set ids (\$ids , \$rule); :set chain1 (\$chain1 . \$rule . \"|\")\n\
:local kept (\"|\" . \$chain0 . \$chain1)\n\
:foreach item in=[/ipv6 firewall nat find chain=\"dstnat\" dynamic=no] do={\n\
:local of [:tostr [/ipv6 firewall nat get \$item comment]]\n\
:if ((([:pick \$of 0 7] = \"edged: \") || ([:pick \$of 0 14] = \"edged-script: \")) && ([:len [:find \$kept (\"|\" . \$item . \"|\")]] = 0)) do={ /ipv6 firewall nat remove \$item }\n\
}\n\
:foreach item in=[/ipv6 firewall nat find chain=\"srcnat\" dynamic=no] do={\n\
:local of [:tostr [/ipv6 firewall nat get \$item comment]]\n\
:if ((([:pick \$of 0 7] = \"edged: \") || ([:pick \$of 0 14] = \"edged-script: \")) && ([:len [:find \$kept (\"|\" . \$item . \"|\")]] = 0)) do={ /ipv6 firewall nat remove \$item }\n\
}\n\
:foreach item in=[/ipv6 firewall nat find dynamic=no] do={\n\
:local of [:tostr [/ipv6 firewall nat get \$item comment]]\n\
:if ((([:pick \$of 0 7] = \"edged: \") || ([:pick \$of 0 14] = \"edged-script: \")) && ([:len [:find \$kept (\"|\" . \$item . \"|\")]] = 0)) do={ /ipv6 firewall nat remove \$item }\n\
}\n\
:local moves false\n\
:local order \"\"\n\
:set order \"\"\n\
:foreach item in=[/ipv6 firewall nat find chain=\"dstnat\" dynamic=no] do={ :set order (\$order . \$item . \"|\") }\n\
:if ([:pick \$order 0 [:len \$chain0]] != \$chain0) do={ :set moves true }\n\
:set order \"\"\n\
:foreach item in=[/ipv6 firewall nat find chain=\"srcnat\" dynamic=no] do={ :set order (\$order . \$item . \"|\") }\n\
:if ([:pick \$order 0 [:len \$chain1]] != \$chain1) do={ :set moves true }\n\
:if (\$moves) do={\n\
:local first \"\"\n\
:foreach item in=[/ipv6 firewall nat find dynamic=no] do={\n\
:if (([:len \$first] = 0) && ([:len [:find \$kept (\"|\" . \$item . \"|\")]] = 0)) do={ :set first \$item }\n\
}\n\
:foreach item in=\$ids do={\n\
:if ([:len \$first] > 0) do={ /ipv6 firewall nat move \$item destination=\$first } else={ /ipv6 firewall nat move \$item }\n\
}\n\
}"]
    $part
  } else={ :put "  the router has no IPv6 NAT: that family is refused, never steered" }
}

# IPv4 filter
{
  :local stands do={
    :foreach rule in=[/ip firewall filter find comment=$1 dynamic=no] do={
      :local is [/ip firewall filter get $rule]
      :local same ([:tostr ($is->"disabled")] != "true")
      :foreach key,text in=$2 do={
        :local has [:tostr ($is->$key)]
        :if (($has != $text) && ($has != [:tostr [:toarray $text]])) do={ :set same false }
      }
      :foreach key in={"connection-bytes"; "connection-limit"; "connection-mark"; "connection-nat-state"; "connection-rate"; "connection-state"; "connection-type"; "content"; "dscp"; "dst-address"; "dst-address-list"; "dst-address-type"; "dst-limit"; "dst-port"; "in-interface"; "in-interface-list"; "limit"; "nth"; "out-interface"; "out-interface-list"; "packet-mark"; "packet-size"; "port"; "protocol"; "random"; "routing-mark"; "src-address"; "src-address-list"; "src-address-type"; "src-mac-address"; "src-port"; "tcp-flags"; "time"; "tls-host"; "ttl"} do={
        :if (([:len [:tostr ($is->$key)]] > 0) && ([:len ($2->$key)] = 0)) do={ :set same false }
      }
      :if ($same) do={ :return $rule }
    }
    :return ""
  }
  :local rule ""
  :local fields ""
  :local ids [:toarray ""]
  :local chain0 ""
  :local chain1 ""
  :local chain2 ""
  :set fields {"chain"="edged-out"; "dst-address-list"="edged-portal"; "action"="accept"}
  :set rule [$stands "edged: out portal" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-out" dst-address-list="edged-portal" action="accept" comment="edged: out portal"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="edged-out"; "dst-address-list"="edged-garden"; "protocol"="tcp"; "dst-port"="443"; "action"="accept"}
  :set rule [$stands "edged: out garden tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-out" dst-address-list="edged-garden" protocol="tcp" dst-port="443" action="accept" comment="edged: out garden tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="edged-out"; "dst-address-list"="edged-garden"; "protocol"="udp"; "dst-port"="443"; "action"="accept"}
  :set rule [$stands "edged: out garden udp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-out" dst-address-list="edged-garden" protocol="udp" dst-port="443" action="accept" comment="edged: out garden udp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="edged-out"; "protocol"="icmp"; "connection-state"="related"; "action"="accept"}
  :set rule [$stands "edged: out errors" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-out" protocol="icmp" connection-state="related" action="accept" comment="edged: out errors"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="edged-in"; "src-address-list"="edged-portal"; "action"="accept"}
  :set rule [$stands "edged: in portal" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-in" src-address-list="edged-portal" action="accept" comment="edged: in portal"] }
  :set ids ($ids , $rule); :set chain1 ($chain1 . $rule . "|")
  :set fields {"chain"="edged-in"; "src-address-list"="edged-garden"; "protocol"="tcp"; "src-port"="443"; "action"="accept"}
  :set rule [$stands "edged: in garden tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-in" src-address-list="edged-garden" protocol="tcp" src-port="443" action="accept" comment="edged: in garden tcp"] }
  :set ids ($ids , $rule); :set chain1 ($chain1 . $rule . "|")
  :set fields {"chain"="edged-in"; "src-address-list"="edged-garden"; "protocol"="udp"; "src-port"="443"; "action"="accept"}
  :set rule [$stands "edged: in garden udp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-in" src-address-list="edged-garden" protocol="udp" src-port="443" action="accept" comment="edged: in garden udp"] }
  :set ids ($ids , $rule); :set chain1 ($chain1 . $rule . "|")
  :set fields {"chain"="edged-in"; "protocol"="icmp"; "connection-state"="related"; "action"="accept"}
  :set rule [$stands "edged: in errors" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-in" protocol="icmp" connection-state="related" action="accept" comment="edged: in errors"] }
  :set ids ($ids , $rule); :set chain1 ($chain1 . $rule . "|")
  :set fields {"chain"="edged-out"; "protocol"="udp"; "packet-size"="76"; "dst-port"="123"; "dst-limit"="8/1m,8,src-address/2m"; "action"="accept"}
  :set rule [$stands "edged: out ntp" $fields]
  :if ([:len $rule] = 0) do={ :do { :set rule [/ip firewall filter add chain="edged-out" protocol="udp" packet-size="76" dst-port="123" dst-limit="8/1m,8,src-address/2m" action="accept" comment="edged: out ntp"] } on-error={ :put "  the router does not take the rule: out ntp" } }
  :if ([:len $rule] > 0) do={ :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|") }
  :set fields {"chain"="edged-in"; "protocol"="udp"; "packet-size"="76"; "src-port"="123"; "connection-state"="established"; "action"="accept"}
  :set rule [$stands "edged: in ntp" $fields]
  :if ([:len $rule] = 0) do={ :do { :set rule [/ip firewall filter add chain="edged-in" protocol="udp" packet-size="76" src-port="123" connection-state="established" action="accept" comment="edged: in ntp"] } on-error={ :put "  the router does not take the rule: in ntp" } }
  :if ([:len $rule] > 0) do={ :set ids ($ids , $rule); :set chain1 ($chain1 . $rule . "|") }
  :set fields {"chain"="edged-out"; "protocol"="udp"; "dst-port"="443,853"; "action"="reject"; "reject-with"="icmp-port-unreachable"}
  :set rule [$stands "edged: out quic" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-out" protocol="udp" dst-port="443,853" action="reject" reject-with="icmp-port-unreachable" comment="edged: out quic"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="edged-out"; "protocol"="tcp"; "action"="reject"; "reject-with"="tcp-reset"}
  :set rule [$stands "edged: out tcp" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-out" protocol="tcp" action="reject" reject-with="tcp-reset" comment="edged: out tcp"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="edged-out"; "action"="reject"; "reject-with"="icmp-admin-prohibited"}
  :set rule [$stands "edged: out rest" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-out" action="reject" reject-with="icmp-admin-prohibited" comment="edged: out rest"] }
  :set ids ($ids , $rule); :set chain0 ($chain0 . $rule . "|")
  :set fields {"chain"="edged-in"; "action"="drop"}
  :set rule [$stands "edged: in rest" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="edged-in" action="drop" comment="edged: in rest"] }
  :set ids ($ids , $rule); :set chain1 ($chain1 . $rule . "|")
  :set fields {"chain"="forward"; "src-address-list"="edged-blocked"; "action"="jump"; "jump-target"="edged-out"}
  :set rule [$stands "edged: from blocked" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="forward" src-address-list="edged-blocked" action="jump" jump-target="edged-out" comment="edged: from blocked"] }
  :set ids ($ids , $rule); :set chain2 ($chain2 . $rule . "|")
  :set fields {"chain"="forward"; "dst-address-list"="edged-blocked"; "action"="jump"; "jump-target"="edged-in"}
  :set rule [$stands "edged: to blocked" $fields]
  :if ([:len $rule] = 0) do={ :set rule [/ip firewall filter add chain="forward" dst-address-list="edged-blocked" action="jump" jump-target="edged-in" comment="edged: to blocked"] }
  :set ids ($ids , $rule); :set chain2 ($chain2 . $rule . "|")
  :local kept ("|" . $chain0 . $chain1 . $chain2)
  :foreach item in=[/ip firewall filter find chain="forward" dynamic=no] do={
    :local of [:tostr [/ip firewall filter get $item comment]]
    :if ((([:pick $of 0 7] = "edged: ") || ([:pick $of 0 14] = "edged-script: ")) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={ /ip firewall filter remove $item }
  }
  :foreach item in=[/ip firewall filter find dynamic=no] do={
    :local of [:tostr [/ip firewall filter get $item comment]]
    :if ((([:pick $of 0 7] = "edged: ") || ([:pick $of 0 14] = "edged-script: ")) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={ /ip firewall filter remove $item }
  }
  :local moves false
  :local order ""
  :set order ""
  :foreach item in=[/ip firewall filter find chain="edged-out" dynamic=no] do={ :if ([:len [:find $kept ("|" . $item . "|")]] > 0) do={ :set order ($order . $item . "|") } }
  :if ([:pick $order 0 [:len $chain0]] != $chain0) do={ :set moves true }
  :set order ""
  :foreach item in=[/ip firewall filter find chain="edged-in" dynamic=no] do={ :if ([:len [:find $kept ("|" . $item . "|")]] > 0) do={ :set order ($order . $item . "|") } }
  :if ([:pick $order 0 [:len $chain1]] != $chain1) do={ :set moves true }
  :set order ""
  :foreach item in=[/ip firewall filter find chain="forward" dynamic=no] do={ :set order ($order . $item . "|") }
  :if ([:pick $order 0 [:len $chain2]] != $chain2) do={ :set moves true }
  :if ($moves) do={
    :local first ""
    :foreach item in=[/ip firewall filter find dynamic=no] do={
      :if (([:len $first] = 0) && ([:len [:find $kept ("|" . $item . "|")]] = 0)) do={ :set first $item }
    }
    :foreach item in=$ids do={
      :if ([:len $first] > 0) do={ /ip firewall filter move $item destination=$first } else={ /ip firewall filter move $item }
    }
  }
}

# IPv6 filter
{
  :local has true
  :do {
    :local probe [:parse "/ipv6 firewall filter find"]
    $probe
  } on-error={ :set has false }
  :if ($has) do={
    :local part [:parse ":local stands do={\n\
:foreach rule in=[/ipv6 firewall filter find comment=\$1 dynamic=no] do={\n\
:local is [/ipv6 firewall filter get \$rule]\n\
:local same ([:tostr (\$is->\"disabled\")] != \"true\")\n\
:foreach key,text in=\$2 do={\n\
:local has [:tostr (\$is->\$key)]\n\
:if ((\$has != \$text) && (\$has != [:tostr [:toarray \$text]])) do={ :set same false }\n\
}\n\
:foreach key in={\"connection-bytes\"; \"connection-limit\"; \"connection-mark\"; \"connection-nat-state\"; \"connection-rate\"; \"connection-state\"; \"connection-type\"; \"content\"; \"dscp\"; \"dst-address\"; \"dst-address-list\"; \"dst-address-type\"; \"dst-limit\"; \"dst-port\"; \"in-interface\"; \"in-interface-list\"; \"limit\"; \"nth\"; \"out-interface\"; \"out-interface-list\"; \"packet-mark\"; \"packet-size\"; \"port\"; \"protocol\"; \"random\"; \"routing-mark\"; \"src-address\"; \"src-address-list\"; \"src-address-type\"; \"src-mac-address\"; \"src-port\"; \"tcp-flags\"; \"time\"; \"tls-host\"; \"ttl\"} do={\n\
:if (([:len [:tostr (\$is->\$key)]] > 0) && ([:len (\$2->\$key)] = 0)) do={ :set same false }\n\
}\n\
:if (\$same) do={ :return \$rule }\n\
}\n\
:return \"\"\n\
}\n\
:local rule \"\"\n\
:local fields \"\"\n\
:local ids [:toarray \"\"]\n\
:local chain0 \"\"\n\
:local chain1 \"\"\n\
:local chain2 \"\"\n\
:set fields {\"chain\"=\"edged-out\"; \"dst-address-list\"=\"edged-portal\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: out portal\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-out\" dst-address-list=\"edged-portal\" action=\"accept\" comment=\"edged: out portal\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-out\"; \"dst-address-list\"=\"edged-garden\"; \"protocol\"=\"tcp\"; \"dst-port\"=\"443\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: out garden tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-out\" dst-address-list=\"edged-garden\" protocol=\"tcp\" dst-port=\"443\" action=\"accept\" comment=\"edged: out garden tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-out\"; \"dst-address-list\"=\"edged-garden\"; \"protocol\"=\"udp\"; \"dst-port\"=\"443\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: out garden udp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-out\" dst-address-list=\"edged-garden\" protocol=\"udp\" dst-port=\"443\" action=\"accept\" comment=\"edged: out garden udp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-out\"; \"protocol\"=\"icmpv6\"; \"connection-state\"=\"related\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: out errors\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-out\" protocol=\"icmpv6\" connection-state=\"related\" action=\"accept\" comment=\"edged: out errors\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-in\"; \"src-address-list\"=\"edged-portal\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: in portal\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-in\" src-address-list=\"edged-portal\" action=\"accept\" comment=\"edged: in portal\"] }\n\
:set ids (\$ids , \$rule); :set chain1 (\$chain1 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-in\"; \"src-address-list\"=\"edged-garden\"; \"protocol\"=\"tcp\"; \"src-port\"=\"443\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: in garden tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-in\" src-address-list=\"edged-garden\" protocol=\"tcp\" src-port=\"443\" action=\"accept\" comment=\"edged: in garden tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain1 (\$chain1 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-in\"; \"src-address-list\"=\"edged-garden\"; \"protocol\"=\"udp\"; \"src-port\"=\"443\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: in garden udp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-in\" src-address-list=\"edged-garden\" protocol=\"udp\" src-port=\"443\" action=\"accept\" comment=\"edged: in garden udp\"] }\n\
:set ids (\$ids , \$rule); :set chain1 (\$chain1 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-in\"; \"protocol\"=\"icmpv6\"; \"connection-state\"=\"related\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: in errors\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-in\" protocol=\"icmpv6\" connection-state=\"related\" action=\"accept\" comment=\"edged: in errors\"] }\n\
:set ids (\$ids , \$rule); :set chain1 (\$chain1 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-out\"; \"protocol\"=\"udp\"; \"packet-size\"=\"96\"; \"dst-port\"=\"123\"; \"dst-limit\"=\"8/1m,8,src-address/2m\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: out ntp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :do { :set rule [/ipv6 firewall filter add chain=\"edged-out\" protocol=\"udp\" packet-size=\"96\" dst-port=\"123\" dst-limit=\"8/1m,8,src-address/2m\" action=\"accept\" comment=\"edged: out ntp\"] } on-error={ :put \"  the router does not take the rule: out ntp\" } }\n\
:if ([:len \$rule] > 0) do={ :set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\") }\n\
:set fields {\"chain\"=\"edged-in\"; \"protocol\"=\"udp\"; \"packet-size\"=\"96\"; \"src-port\"=\"123\"; \"connection-state\"=\"established\"; \"action\"=\"accept\"}\n\
:set rule [\$stands \"edged: in ntp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :do { :set rule [/ipv6 firewall filter add chain=\"edged-in\" protocol=\"udp\" packet-size=\"96\" src-port=\"123\" connection-state=\"established\" action=\"accept\" comment=\"edged: in ntp\"] } on-error={ :put \"  the router does not take the rule: in ntp\" } }\n\
:if ([:len \$rule] > 0) do={ :set ids (\$ids , \$rule); :set chain1 (\$chain1 . \$rule . \"|\") }\n\
:set fields {\"chain\"=\"edged-out\"; \"protocol\"=\"udp\"; \"dst-port\"=\"443,853\"; \"action\"=\"reject\"; \"reject-with\"=\"icmp-port-unreachable\"}\n\
:set rule [\$stands \"edged: out quic\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-out\" protocol=\"udp\" dst-port=\"443,853\" action=\"reject\" reject-with=\"icmp-port-unreachable\" comment=\"edged: out quic\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-out\"; \"protocol\"=\"tcp\"; \"action\"=\"reject\"; \"reject-with\"=\"tcp-reset\"}\n\
:set rule [\$stands \"edged: out tcp\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-out\" protocol=\"tcp\" action=\"reject\" reject-with=\"tcp-reset\" comment=\"edged: out tcp\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-out\"; \"action\"=\"reject\"; \"reject-with\"=\"icmp-admin-prohibited\"}\n\
:set rule [\$stands \"edged: out rest\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-out\" action=\"reject\" reject-with=\"icmp-admin-prohibited\" comment=\"edged: out rest\"] }\n\
:set ids (\$ids , \$rule); :set chain0 (\$chain0 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"edged-in\"; \"action\"=\"drop\"}\n\
:set rule [\$stands \"edged: in rest\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"edged-in\" action=\"drop\" comment=\"edged: in rest\"] }\n\
:set ids (\$ids , \$rule); :set chain1 (\$chain1 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"forward\"; \"src-address-list\"=\"edged-blocked\"; \"action\"=\"jump\"; \"jump-target\"=\"edged-out\"}\n\
:set rule [\$stands \"edged: from blocked\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"forward\" src-address-list=\"edged-blocked\" action=\"jump\" jump-target=\"edged-out\" comment=\"edged: from blocked\"] }\n\
:set ids (\$ids , \$rule); :set chain2 (\$chain2 . \$rule . \"|\")\n\
:set fields {\"chain\"=\"forward\"; \"dst-address-list\"=\"edged-blocked\"; \"action\"=\"jump\"; \"jump-target\"=\"edged-in\"}\n\
:set rule [\$stands \"edged: to blocked\" \$fields]\n\
:if ([:len \$rule] = 0) do={ :set rule [/ipv6 firewall filter add chain=\"forward\" dst-address-list=\"edged-blocked\" action=\"jump\" jump-target=\"edged-in\" comment=\"edged: to blocked\"] }\n\
:set ids (\$ids , \$rule); :set chain2 (\$chain2 . \$rule . \"|\")\n\
:local kept (\"|\" . \$chain0 . \$chain1 . \$chain2)\n\
:foreach item in=[/ipv6 firewall filter find chain=\"forward\" dynamic=no] do={\n\
:local of [:tostr [/ipv6 firewall filter get \$item comment]]\n\
:if ((([:pick \$of 0 7] = \"edged: \") || ([:pick \$of 0 14] = \"edged-script: \")) && ([:len [:find \$kept (\"|\" . \$item . \"|\")]] = 0)) do={ /ipv6 firewall filter remove \$item }\n\
}\n\
:foreach item in=[/ipv6 firewall filter find dynamic=no] do={\n\
:local of [:tostr [/ipv6 firewall filter get \$item comment]]\n\
:if ((([:pick \$of 0 7] = \"edged: \") || ([:pick \$of 0 14] = \"edged-script: \")) && ([:len [:find \$kept (\"|\" . \$item . \"|\")]] = 0)) do={ /ipv6 firewall filter remove \$item }\n\
}\n\
:local moves false\n\
:local order \"\"\n\
:set order \"\"\n\
:foreach item in=[/ipv6 firewall filter find chain=\"edged-out\" dynamic=no] do={ :if ([:len [:find \$kept (\"|\" . \$item . \"|\")]] > 0) do={ :set order (\$order . \$item . \"|\") } }\n\
:if ([:pick \$order 0 [:len \$chain0]] != \$chain0) do={ :set moves true }\n\
:set order \"\"\n\
:foreach item in=[/ipv6 firewall filter find chain=\"edged-in\" dynamic=no] do={ :if ([:len [:find \$kept (\"|\" . \$item . \"|\")]] > 0) do={ :set order (\$order . \$item . \"|\") } }\n\
:if ([:pick \$order 0 [:len \$chain1]] != \$chain1) do={ :set moves true }\n\
:set order \"\"\n\
:foreach item in=[/ipv6 firewall filter find chain=\"forward\" dynamic=no] do={ :set order (\$order . \$item . \"|\") }\n\
:if ([:pick \$order 0 [:len \$chain2]] != \$chain2) do={ :set moves true }\n\
:if (\$moves) do={\n\
:local first \"\"\n\
:foreach item in=[/ipv6 firewall filter find dynamic=no] do={\n\
:if (([:len \$first] = 0) && ([:len [:find \$kept (\"|\" . \$item . \"|\")]] = 0)) do={ :set first \$item }\n\
}\n\
:foreach item in=\$ids do={\n\
:if ([:len \$first] > 0) do={ /ipv6 firewall filter move \$item destination=\$first } else={ /ipv6 firewall filter move \$item }\n\
}\n\
}"]
    $part
  } else={ :put "  the router has no IPv6 filter: that family is neither steered nor refused here" }
}

# the user
{
  :if ([:len [/user group find name="edged"]] = 0) do={
    /user group add name="edged" policy="read,write,api" comment="edged-script"
  }
  :foreach item in=[/user group find name="edged"] do={
    :local lacks [:toarray "read,write,api"]
    :local more 0
    :foreach right in=[:toarray [/user group get $item policy]] do={
      :if ([:len [:find $lacks [:tostr $right]]] > 0) do={ :set more ($more + 1) } else={
        :if ([:pick [:tostr $right] 0 1] != "!") do={ :set more 99 }
      }
    }
    :if ($more != 3) do={
      :if ([:tostr [/user group get $item comment]] = "edged-script") do={
        /user group set $item policy="read,write,api"
      } else={
        :put "  by hand: the group edged is not this script's; it should have read,write,api and no more"
      }
    }
  }
  :if ([:len [/user find name="edged"]] = 0) do={
    /user add name="edged" group="edged" address="192.0.2.10/32" password=$password comment="edged-script"
  }
  :foreach item in=[/user find name="edged"] do={
    :local is [/user get $item]
    :local from [:tostr ($is->"address")]
    :local right (($from = "192.0.2.10/32") || ($from = "192.0.2.10/32"))
    :if (!($right && ([:tostr ($is->"group")] = "edged") && ([:tostr ($is->"disabled")] != "true"))) do={
      :if ([:tostr ($is->"comment")] = "edged-script") do={ /user set $item group="edged" address="192.0.2.10/32" disabled=no } else={
        :put "  by hand: that user is not this script's; it should be of the group edged, from 192.0.2.10/32"
      }
    }
  }
  :foreach item in=[/user find comment="edged-script"] do={
    :if ([:tostr [/user get $item name]] != "edged") do={ /user remove $item }
  }
}

# the API
{
  :local service ""
  :foreach item in=[/ip service find name="api-ssl"] do={ :if ([:len $service] = 0) do={ :set service $item } }
  :local certificate [:tostr [/ip service get $service certificate]]
  :if (($certificate = "none") || ([:len $certificate] = 0)) do={
    :if ([:len [/certificate find name="edged-api"]] = 0) do={
      /certificate add name="edged-api" common-name="192.0.2.1" days-valid=3650
    }
    :if ([:len [:tostr [/certificate get [/certificate find name="edged-api"] fingerprint]]] = 0) do={
      /certificate sign "edged-api"
    }
    :local left 30
    :while (($left > 0) && ([:len [:tostr [/certificate get [/certificate find name="edged-api"] fingerprint]]] = 0)) do={
      :delay 1s
      :set left ($left - 1)
    }
    /ip service set $service certificate="edged-api"
    :set certificate "edged-api"
  }
  :foreach item in=[/certificate find name=$certificate] do={
    :put ("  fingerprint for edged's configuration: " . [:tostr [/certificate get $item fingerprint]])
  }
  :local is [/ip service get $service]
  :local off ([:tostr ($is->"disabled")] = "true")
  :local everybody ([:len [:tostr ($is->"address")]] = 0)
  :local lets 0
  :foreach part in=[:toarray ($is->"address")] do={
    :local text [:tostr $part]
    :if (($text = "192.0.2.10/32") || ($text = "192.0.2.10")) do={ :set lets ($lets + 1) }
  }
  :local knows ($lets = 1)
  :if ($off && $everybody) do={ /ip service set $service address="192.0.2.10/32" disabled=no }
  :if ($off && $knows) do={ /ip service set $service disabled=no }
  :if (!$everybody && !$knows) do={
    :put "  by hand: api-ssl is limited to addresses of others; see that it is on and open to 192.0.2.10/32"
  }
  :if (!$off && $everybody) do={
    :put "  api-ssl is on and open to every address, which others may rely on; nothing was changed there"
  }
  :if ([:tostr ($is->"port")] != "8729") do={
    :put ("  api-ssl is on port " . [:tostr ($is->"port")] . ", edged's configuration says 8729")
  }
}

# RADIUS servers of an older script
{
  :foreach item in=[/radius find comment="edged-script"] do={
    :if ([:len [:find "|" ("|" . [:tostr [/radius get $item address]] . "|")]] = 0) do={ /radius remove $item }
  }
}

# DHCPv4 option 114 (RFC 8910)
{
  :local has true
  :do {
    :local probe [:parse "/ip dhcp-server network find"]
    $probe
  } on-error={ :set has false }
  :if ($has) do={
    :local part [:parse ":local good true\n\
:foreach option in=[/ip dhcp-server option find code=114] do={\n\
:if ([:tostr [/ip dhcp-server option get \$option name]] != \"edged-captive-portal\") do={\n\
:if (\$good) do={ :put \"  by hand: there is an option 114 that is not this script's, so none was added\" }\n\
:set good false\n\
}\n\
}\n\
:if (\$good && ([:len [/ip dhcp-server option find name=\"edged-captive-portal\"]] = 0)) do={\n\
/ip dhcp-server option add name=\"edged-captive-portal\" code=114 value=\"0x68747470733a2f2f706f7274616c2e6578616d706c652e6e65742f2e77656c6c2d6b6e6f776e2f636170746976652d706f7274616c\"\n\
}\n\
:foreach option in=[/ip dhcp-server option find name=\"edged-captive-portal\"] do={\n\
:if ([:tostr [/ip dhcp-server option get \$option value]] != \"0x68747470733a2f2f706f7274616c2e6578616d706c652e6e65742f2e77656c6c2d6b6e6f776e2f636170746976652d706f7274616c\") do={ /ip dhcp-server option set \$option value=\"0x68747470733a2f2f706f7274616c2e6578616d706c652e6e65742f2e77656c6c2d6b6e6f776e2f636170746976652d706f7274616c\" }\n\
}\n\
:foreach network in=[/ip dhcp-server network find] do={\n\
:local is [/ip dhcp-server network get \$network]\n\
:local wanted (\$good && (((\$is->\"address\") in 100.64.0.0/10)))\n\
:local has false\n\
:local options [:toarray \"\"]\n\
:foreach option in=[:toarray (\$is->\"dhcp-option\")] do={\n\
:if ([:tostr \$option] = \"edged-captive-portal\") do={ :set has true } else={ :set options (\$options , \$option) }\n\
}\n\
:if (\$wanted != \$has) do={\n\
:if (\$wanted) do={ :set options (\$options , \"edged-captive-portal\") }\n\
:if ([:len \$options] > 0) do={ /ip dhcp-server network set \$network dhcp-option=\$options } else={\n\
/ip dhcp-server network set \$network dhcp-option=\"\"\n\
}\n\
}\n\
}\n\
:if (!\$good) do={\n\
:foreach option in=[/ip dhcp-server option find name=\"edged-captive-portal\"] do={ /ip dhcp-server option remove \$option }\n\
}"]
    $part
  } else={ :put "  the router has no DHCP server: option 114 was not set" }
}

:put "prepared for edged"
}
