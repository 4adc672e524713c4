"""The phone's own TCP and its talks, octet by octet; and what passes between it and its gateway, through scapy."""

from __future__ import annotations

import ssl
from typing import Any

import trustme

from edged.captive.tls import Alert, alert, parse_client_hello
from edged.captive.tls import Hello as Asked
from edged.phone.exchanges import Connection, Datagram, Question
from edged.phone.settling import Announcement, Arp, Dhcp, Neighbour, link_local
from edged.phone.stream import ACK, FIN, MSS, RST, SYN, Segment, Stream
from edged.phone.talks import Hello, Nothing, Plain, Secure, whole_dns, whole_http

PEER = 5_000_000_000 % 2**32


def opened(talk: Any, seq: int = 2**32 - 3) -> tuple[Stream, list[Segment]]:
    """A stream whose SYN was answered, and what it said then. Its numbers pass zero on the way."""
    stream = Stream(talk, seq)
    assert stream.start() == [Segment(SYN, seq, 0)]
    return stream, stream.take(Segment(SYN | ACK, PEER, (seq + 1) % 2**32))


def said(segments: list[Segment]) -> bytes:
    return b"".join(segment.payload for segment in segments)


def test_a_request_is_cut_into_segments_and_sent_again_until_it_is_confirmed() -> None:
    request = bytes(range(256)) * 12
    stream, first = opened(Plain(request, whole_http))

    assert said(first) == request
    assert max(len(s.payload) for s in first) == MSS
    assert said(stream.resend()) == request
    stream.take(Segment(ACK, PEER + 1, (2**32 - 2 + MSS) % 2**32))
    assert said(stream.resend()) == request[MSS:]
    assert stream.resend()
    assert stream.resend() == [], "two retransmissions are all there are"


def test_an_answer_in_any_order_is_heard_once_and_a_reset_ends_what_is_whole() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"
    talk = Plain(b"GET", whole_http)
    stream, _ = opened(talk)
    at = PEER + 1
    stream.take(Segment(ACK, at + 30, 0, answer[30:]))
    stream.take(Segment(ACK, at + 10, 0, answer[10:32]))
    assert talk.octets == b""
    end = stream.take(Segment(ACK, at, 0, answer[:12]))

    assert talk.octets == answer
    assert (stream.outcome, stream.done) == ("answer", True)
    assert end[-1].flags == RST | ACK


def test_every_end_of_a_connection_has_its_own_word() -> None:
    unopened = Stream(Nothing(), 7)
    unopened.start()
    unopened.take(Segment(RST | ACK, 0, 4711))
    assert not unopened.done, "a RST for something else is not about us"
    unopened.take(Segment(RST | ACK, 0, 8))
    assert unopened.outcome == "refused"

    cases = [
        (Nothing(), None, "open"),
        (Plain(b"x", whole_http), Segment(RST, PEER + 1, 0), "cut"),
        (Plain(b"x", whole_http), Segment(FIN | ACK, PEER + 1, 0), "closed"),
    ]
    for talk, segment, outcome in cases:
        stream, _ = opened(talk)
        if segment is not None:
            stream.take(segment)
        assert (stream.outcome, stream.done) == (outcome, True)
    mute, _ = opened(Plain(b"x", whole_http))
    assert mute.give_up()[0].flags & RST
    assert mute.outcome == "open"
    silent = Stream(Nothing(), 7)
    silent.start()
    assert silent.give_up() == []
    assert silent.outcome == "silence"


def test_a_whole_answer_is_known_by_its_length() -> None:
    assert whole_http(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert whole_http(b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n")
    assert not whole_http(b"HTTP/1.1 200 OK\r\n\r\nuntil it closes")
    assert not whole_http(b"HTTP/1.1 200 OK\r\nContent-Le")
    assert whole_dns(b"\0\3abc")
    assert not whole_dns(b"\0\4abc")


def test_a_hello_names_the_foreign_name_and_the_alert_after_it_is_told() -> None:
    talk = Hello("www.example.org")

    assert parse_client_hello(talk.begin()) == Asked("www.example.org")
    talk.heard(alert(Alert.INTERNAL_ERROR))
    assert talk.complete
    assert talk.facts() == {"tls": "alert", "alert": 80}
    for octets, told in ((b"\x16\x03\x03\x00\x7a\x02\x00", "hello"), (b"HTTP/1.", "no-tls")):
        other = Hello("a.example")
        other.begin()
        other.heard(octets)
        assert other.facts() == {"tls": told}


def _served(name: str, trusted: bool, answer: bytes) -> dict[str, Any]:
    """What a request inside TLS learns of a server of OpenSSL's, all in memory."""
    ca, other = trustme.CA(), trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("portal.example.net").configure_cert(server_context)
    trust = ssl.create_default_context()
    (ca if trusted else other).configure_trust(trust)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(incoming, outgoing, server_side=True)
    talk = Secure(name, b"GET / HTTP/1.1\r\n\r\n".decode().encode(), trust)
    to_server, is_answered = talk.begin(), False
    for _ in range(10):
        incoming.write(to_server)
        try:
            if is_answered or not server.read(1):
                break
            server.write(answer)
            is_answered = True
        except ssl.SSLError:
            pass
        to_server = talk.heard(outgoing.read())
        if talk.complete:
            break
    return talk.facts()


def test_a_page_inside_tls_is_read_where_its_certificate_is_good_and_not_otherwise() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    good = _served("portal.example.net", trusted=True, answer=answer)
    assert (good["tls"], good["octets"].encode()) == ("good", answer)
    assert float(str(good["expires"])) > 0
    for name, trusted in (("portal.example.net", False), ("other.example.net", True)):
        bad = _served(name, trusted, answer)
        assert (bad["tls"], bad["octets"]) == ("untrusted", "")


# --- frames ----------------------------------------------------------------------------------------

MAC, ROUTER = "02:00:5e:10:00:77", "02:00:5e:00:00:01"
TO = {"from": "100.64.1.77", "to": "203.0.113.53", "via": ROUTER, "port": 443, "wait": 1}
TO6 = {**TO, "from": "2001:db8:100::7", "to": "2001:db8::53"}


def again(frame: Any) -> Any:
    """A frame as it comes off the wire."""
    from scapy.layers.l2 import Ether

    return Ether(bytes(frame))


def test_an_icmp_error_about_ours_is_the_answer_and_one_about_another_flow_is_not() -> None:
    from scapy.layers.inet import ICMP, IP, UDP
    from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
    from scapy.layers.l2 import Ether

    for order, error, outer, word in (
        (TO, ICMP(type=3, code=3), IP(src="192.0.2.1", dst=TO["from"]), "port-unreachable"),
        (TO6, ICMPv6DestUnreach(code=1), IPv6(src="2001:db8::1", dst=TO6["from"]), "prohibited"),
    ):
        exchange = Datagram({**order, "octets": "00" * 20}, MAC)
        sent = again(exchange.frames()[0])
        assert (sent.src, sent.dst) == (MAC, ROUTER)
        inner = sent.payload
        other = inner.copy()
        other[UDP].sport ^= 1
        exchange.take(again(Ether(dst=MAC) / outer / error / bytes(other)))
        assert not exchange.done
        exchange.take(again(Ether(dst=MAC) / outer / error / bytes(inner)))
        assert exchange.facts() == {"outcome": "icmp", "icmp": word, "by": outer.src}


def test_an_answer_of_dns_counts_with_its_number_alone_and_garbage_is_no_fault_of_ours() -> None:
    from scapy.layers.dns import DNS, DNSRR
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    for answer, addresses in ((None, None), (b"\xff" * 9, []), ("right", ["203.0.113.10"])):
        question = Question({**TO, "port": 53, "name": "example.com", "type": 1}, MAC)
        asked = again(question.frames()[0])
        message = DNS(bytes(asked[UDP].payload))
        payload: Any = answer
        if answer == "right":
            payload = bytes(DNS(id=message.id, qr=1, qd=message.qd, an=DNSRR(rrname="example.com", ttl=5,
                                                                             rdata="203.0.113.10")))  # fmt: skip
        elif answer is None:
            payload = bytes(DNS(id=message.id ^ 1, qr=1, qd=message.qd))
        back = Ether(dst=MAC) / IP(src=TO["to"], dst=TO["from"]) / UDP(sport=53, dport=asked[UDP].sport) / payload
        question.take(again(back))
        assert question.facts().get("addresses") == addresses


def test_a_short_frames_padding_is_not_heard_as_data() -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.packet import Padding

    talk = Plain(b"GET", whole_http)
    connection = Connection({**TO, "port": 80}, MAC, Stream(talk, 100))
    asked = again(connection.frames()[0])
    back = IP(src=TO["to"], dst=TO["from"]) / TCP(sport=80, dport=asked[TCP].sport, flags="SA", seq=1, ack=101)
    replies = connection.take(again(Ether(dst=MAC) / back / Padding(b"\0" * 6)))

    assert [bytes(r[TCP].payload) for r in replies] == [b"", b"GET"]
    assert talk.octets == b""


def test_whoever_has_the_address_is_heard_and_nobody_learns_of_us_by_the_question() -> None:
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
    from scapy.layers.l2 import ARP, Ether

    four = Arp({"from": "0.0.0.0", "target": "100.64.1.77", "wait": 1}, MAC)
    assert again(four.frames()[0])[ARP].psrc == "0.0.0.0"
    four.take(again(Ether() / ARP(op=2, hwsrc=ROUTER, psrc="100.64.1.77")))
    assert four.facts() == {"outcome": "answer", "mac": ROUTER}
    six = Neighbour({"from": "::", "target": "2001:db8::7", "wait": 1}, MAC)
    assert again(six.frames()[0]).dst == "33:33:ff:00:00:07"
    six.take(again(Ether() / IPv6() / ICMPv6ND_NA(tgt="2001:db8::7") / ICMPv6NDOptDstLLAddr(lladdr=ROUTER)))
    assert six.facts() == {"outcome": "answer", "mac": ROUTER}
    told = Announcement({"from": "100.64.1.77", "wait": 0}, MAC)
    assert again(told.frames()[0])[ARP].hwsrc == MAC
    assert told.done
    assert link_local(MAC) == "fe80::5eff:fe10:77"


def test_an_offer_is_asked_for_and_with_an_address_no_lease_is_asked_for_at_all() -> None:
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    def kind(frame: Any) -> int:
        return int(dict(o for o in again(frame)[DHCP].options if isinstance(o, tuple) and len(o) == 2)["message-type"])

    inform = Dhcp({"from": "100.64.1.77", "wait": 1}, MAC)
    assert kind(inform.frames()[0]) == 8
    discover = Dhcp({"from": None, "wait": 1}, MAC)
    asked = again(discover.frames()[0])
    assert kind(asked) == 1
    options: dict[Any, Any] = dict(o for o in asked[DHCP].options if isinstance(o, tuple))
    assert 114 in options["param_req_list"]

    def answer(message: str) -> Any:
        return again(
            Ether() / IP() / UDP(sport=67, dport=68) / BOOTP(op=2, xid=asked[BOOTP].xid, yiaddr="100.64.1.79")
            / DHCP(options=[("message-type", message), ("server_id", "100.64.0.1"), ("router", "100.64.0.1"),
                            ("captive-portal", b"https://p.example/api"), "end"])
        )  # fmt: skip

    assert kind(discover.take(answer("offer"))[0]) == 3
    discover.take(answer("ack"))
    facts = discover.facts()
    assert (facts["address"], facts["routers"], facts["portal"]) == (
        "100.64.1.79", ["100.64.0.1"], "https://p.example/api",
    )  # fmt: skip
