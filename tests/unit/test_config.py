from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.captive.selfsigned import self_signed
from edged.cli import main
from edged.config import load
from edged.config.document import read
from edged.config.schema import json_schema
from edged.errors import ConfigError, Problem
from edged.policy.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "config"


def problems(text: str, tmp_path: Path) -> tuple[Problem, ...]:
    path = tmp_path / "edged.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as raised:
        load(path)
    return raised.value.problems


def warnings(text: str, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "edged.yaml"
    path.write_text(text, "utf-8")
    return {p.key: p.found for p in load(path).warnings}


def test_the_contract_is_accepted_once_its_secrets_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "config" / "edged.example.yaml").read_text("utf-8").replace("/etc/edged/secrets", str(tmp_path))
    for name in ("splynx", "hook", "building-7", "routeros", "bng"):
        (tmp_path / name).write_text("a-secret-of-a-test\n")
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "edged.yaml"
    path.write_text(text)

    assert main(["check", "-c", str(path)]) == 0
    assert "is good" in capsys.readouterr().out


def test_the_shipped_examples_are_good() -> None:
    for path in sorted((ROOT / "config" / "example").glob("edged*.yaml")):
        assert load(path).config.site


def test_every_problem_is_reported_at_once_word_for_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(GOLDEN)

    assert main(["check", "-c", "everything_wrong.yaml"]) == 78

    assert capsys.readouterr().out == (GOLDEN / "everything_wrong.txt").read_text("utf-8")


def test_the_json_schema_in_config_is_that_of_the_models() -> None:
    shipped = json.loads((ROOT / "config" / "edged.schema.json").read_text("utf-8"))

    assert shipped == json.loads(json.dumps(json_schema())), "stale: run make schema"


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("dns: {lisen: []}", "dns.lisen", 'did you mean "listen"?'),
        ("garden: {ttl: 5s}", "garden.ttl", '"ttl" belongs under dns'),
        ("listn: {}", "listn", ""),
        ("mode: enforced", "mode", 'did you mean "enforce"?'),
        ("garden: {presets: [strpe]}", "garden.presets[0]", 'did you mean "stripe"?'),
    ],
)
def test_a_misspelt_key_or_choice_is_answered_with_the_nearest_right_one(
    text: str, key: str, hint: str, tmp_path: Path
) -> None:
    (problem,) = problems(text, tmp_path)

    assert (problem.key, problem.hint) == (key, hint)
    assert problem.line == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("site: a\nsite: b", "second time"),
        ("a: &a [*a]", "deep"),
        ("site: [", "expected"),
        ("\tsite: a", "tab"),
        ("", "an empty file"),
        ("just words", "no keys"),
        ("x: " + "[" * 60 + "]" * 60, "deep"),
    ],
)
def test_what_is_not_a_configuration_is_one_clear_message(text: str, found: str, tmp_path: Path) -> None:
    first = problems(text, tmp_path)[0]

    assert found in first.found + first.expected + first.hint


def test_a_secret_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct-horse")
    secret.chmod(0o644)

    (problem,) = problems(
        f"radius: {{clients: [{{name: a, networks: ['10.0.0.0/8'], secret: !file {secret}}}]}}", tmp_path
    )

    assert problem.key == "radius.clients[0].secret"
    assert problem.hint == f"chmod 0600 {secret}"


def test_a_credential_of_systemd_may_bear_an_acls_mask_and_nothing_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "edged.service" / "ap"
    secret.parent.mkdir()
    secret.write_text("correct-horse")
    text = f"radius: {{clients: [{{name: a, networks: ['10.0.0.0/8'], secret: !file {secret}}}]}}"
    secret.chmod(0o440)
    assert [p.key for p in problems(text, tmp_path)] == ["radius.clients[0].secret"], "it lies elsewhere"

    monkeypatch.setattr("edged.config.document._CREDENTIALS", tmp_path)

    path = tmp_path / "edged.yaml"
    path.write_text(text)
    assert load(path).config.radius.clients[0].secret.reveal() == b"correct-horse"
    secret.chmod(0o444)
    assert [p.key for p in problems(text, tmp_path)] == ["radius.clients[0].secret"]


@pytest.mark.parametrize("secret", ["hunter2", "'hunter2'", '"hunter2 and more"'])
def test_no_message_ever_shows_a_secret(secret: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edged.yaml"
    path.write_text(f"radius: {{clients: [{{name: 5, networks: [], secret: {secret}, dialect: x}}]}}")

    assert main(["check", "-c", str(path)]) == 78
    printed = capsys.readouterr().out
    assert "radius.clients[0]" in printed
    assert "hunter2" not in printed
    assert main(["check", "--json", "-c", str(path)]) == 78
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("garden", "key", "held"),
    [
        ("names: [captive.apple.com]", "garden.names[0]", "captive.apple.com"),
        ("names: [pay.example.com, WWW.Google.com.]", "garden.names[1]", "www.google.com"),
        ("names: ['*.gstatic.com']", "garden.names[0]", "connectivitycheck.gstatic.com and 1 more"),
        ("names: [.grapheneos.online]", "garden.names[0]", "grapheneos.online"),
        ("names: ['*.s3.amazonaws.com']", "garden.names[0]", "spectrum.s3.amazonaws.com"),
        ("names: [dns.msftncsi.com]", "garden.names[0]", "dns.msftncsi.com"),
        ("names: [www.google.com], ports: [443]", "garden.names[0]", "www.google.com"),
        ("records: {detectportal.firefox.com: [203.0.113.20]}", "garden.records.detectportal.firefox.com", "detect"),
        ("records: {'*.debian.org': [203.0.113.20]}", "garden.records.*.debian.org", "network-test.debian.org"),
    ],
)
def test_a_garden_that_holds_a_connectivity_check_is_refused(garden: str, key: str, held: str, tmp_path: Path) -> None:
    (problem,) = problems(f"garden: {{{garden}}}", tmp_path)

    assert problem.key == key
    assert f"which holds {held}" in problem.found
    assert problem.found.endswith("a connectivity check")


def test_a_preset_that_held_a_connectivity_check_would_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "stripe", ("js.stripe.com", "*.gstatic.com"))

    assert [p.key for p in problems("garden: {presets: [paypal, stripe]}", tmp_path)] == ["garden.presets[1]"]


def test_no_shipped_preset_holds_a_connectivity_check(tmp_path: Path) -> None:
    assert not any(
        key.startswith("garden") for key in warnings(f"garden: {{presets: [{', '.join(PRESETS)}]}}", tmp_path)
    )


@pytest.mark.parametrize("name", ["gstatic.com", "*.www.google.com", "apple.com", "paypal.com"])
def test_a_garden_beside_a_connectivity_check_is_allowed(name: str, tmp_path: Path) -> None:
    assert "garden.names[0]" not in warnings(f"garden: {{names: ['{name}']}}", tmp_path)


def test_a_garden_that_holds_the_portal_is_refused(tmp_path: Path) -> None:
    (problem,) = problems("portal: {url: https://pay.isp.example}\ngarden: {names: [.isp.example]}", tmp_path)

    assert problem.key == "garden.names[0]"


def test_a_private_portal_address_is_a_warning_with_its_consequence(tmp_path: Path) -> None:
    assert "portal.addresses[0]" in warnings("portal: {url: https://a.example, addresses: [10.0.0.1]}", tmp_path)


ACME = (
    'portal: {{url: "https://{host}", listen: {{http: ["0.0.0.0:{port}"]}}, '
    'certificate: {{acme: "https://acme-v02.api.letsencrypt.org/directory", contact: noc@example.net{more}}}, '
    "brands: {{default: {{phone: '+1 555 0100'}}}}}}\n"
)


def test_a_misspelt_acme_is_answered_as_acme_and_not_as_files(tmp_path: Path) -> None:
    found = problems("portal: {certificate: {amce: x, contact: a@b.example}}", tmp_path)

    assert {(p.key, p.hint) for p in found} == {
        ("portal.certificate.acme", ""),
        ("portal.certificate.amce", 'did you mean "acme"?'),
    }


@pytest.mark.parametrize(
    ("certificate", "key"),
    [("{chain: a, key: b, contact: c@d.example}", "contact"), ("{acme: 'https://a.example/d', chain: a}", "chain")],
)
def test_a_key_of_the_other_kind_of_certificate_is_told_so_and_not_called_unknown(
    certificate: str, key: str, tmp_path: Path
) -> None:
    found = {p.key: p for p in problems(f"portal: {{certificate: {certificate}}}", tmp_path)}[
        f"portal.certificate.{key}"
    ]

    assert found.found == f'the key "{key}" does not go with the others here'
    assert found.expected == "chain and key, or acme and contact"
    assert not found.hint


def test_a_certificate_by_acme_is_accepted_as_the_example_has_it(tmp_path: Path) -> None:
    lines = (ROOT / "config/edged.example.yaml").read_text("utf-8").splitlines()
    (line,) = (line.replace("# ", "", 1) for line in lines if "{acme:" in line)

    found = warnings(
        f"portal:\n  url: https://portal.example.net\n  listen: {{http: ['[::]:80']}}\n{line}\n"
        "  brands: {default: {phone: '+1 555 0100'}}",
        tmp_path,
    )

    assert found == {}


def test_a_certificate_by_acme_needs_port_80_or_a_hook(tmp_path: Path) -> None:
    hook = f", hook: {tmp_path}/none"

    assert warnings(ACME.format(host="portal.example.net", port=8080, more=""), tmp_path) == {
        "portal.certificate.acme": "no port 80 in portal.listen.http"
    }
    assert warnings(ACME.format(host="portal.example.net", port=8080, more=hook), tmp_path) == {
        "portal.certificate.hook": f"{tmp_path}/none: no such file or directory"
    }


def test_a_certificate_by_acme_without_its_library_is_a_warning_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edged.config.checks.find_spec", lambda _name: None)
    path = tmp_path / "edged.yaml"
    path.write_text(ACME.format(host="portal.example.net", port=80, more=""))

    assert main(["check", "-c", str(path)]) == 0

    said = capsys.readouterr().out
    assert "the library acme is not installed" in said
    assert "pip install --require-hashes --no-deps -r requirements-acme.lock" in said


def with_certificate(tmp_path: Path, host: str, began: float) -> str:
    chain, key = self_signed(host, [], began)
    (tmp_path / "chain").write_bytes(chain)
    (tmp_path / "key").write_bytes(key)
    return (
        "portal: {url: 'https://portal.example.net', listen: {https: ['[::]:443']},"
        " brands: {default: {phone: '+1 555 0100'}},"
        f" certificate: {{chain: {tmp_path}/chain, key: {tmp_path}/key}}}}"
    )


def test_certificate_files_are_opened_and_a_wrong_pair_is_refused_before_the_daemon_is(tmp_path: Path) -> None:
    now = time.time()
    assert warnings(with_certificate(tmp_path, "portal.example.net", now), tmp_path) == {}
    (found,) = problems(with_certificate(tmp_path, "other.example.net", now), tmp_path)
    assert (found.key, found.found, found.line) == ("portal.certificate.chain", "a certificate for other names", 1)

    ending = with_certificate(tmp_path, "portal.example.net", now - 85 * 86400)
    assert "a certificate that ends on" in warnings(ending, tmp_path)["portal.certificate.chain"]
    ended = with_certificate(tmp_path, "portal.example.net", now - 99 * 86400)
    assert "a certificate that ended on" in warnings(ended, tmp_path)["portal.certificate.chain"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("portal.example.net", "203.0.113.10", "an address"),
        ("noc@example.net", "noc", '"noc"'),
        ("https://acme", "http://acme", '"http://acme-v02.api.letsencrypt.org/directory"'),
    ],
)
def test_what_no_authority_takes_is_refused(tmp_path: Path, old: str, new: str, found: str) -> None:
    text = ACME.format(host="portal.example.net", port=80, more="").replace(old, new, 1)

    assert problems(text, tmp_path)[0].found == found


def test_serving_the_whole_internet_is_refused(tmp_path: Path) -> None:
    assert "whole Internet" in problems("subscribers: {networks: ['0.0.0.0/0']}", tmp_path)[0].found


def test_an_ops_address_that_others_reach_without_a_token_is_a_warning(tmp_path: Path) -> None:
    assert warnings('ops: {listen: "192.0.2.7:9300"}', tmp_path) == {"ops.listen": "192.0.2.7:9300, and no ops.token"}
    assert warnings('ops: {listen: "192.0.2.7:9300", token: a-token-of-a-test}', tmp_path) == {}
    assert warnings('ops: {listen: "[::1]:9300"}', tmp_path) == {}


def test_a_shared_store_without_its_key_or_without_a_verified_server_is_a_warning(tmp_path: Path) -> None:
    key = "shared_key: 0123456789abcdef0123456789abcdef"

    assert set(warnings("state: {database: 'postgresql://e@localhost/edged'}", tmp_path)) == {"state.shared_key"}
    assert set(warnings(f"state: {{database: 'postgresql://e@db.example.net/edged', {key}}}", tmp_path)) == set()
    unverified = "postgresql://e@db.example.net/edged?sslmode=require"
    assert set(warnings(f"state: {{database: '{unverified}', {key}}}", tmp_path)) == {"state.database"}


@pytest.mark.parametrize("source", ["splynx", "uisp"])
def test_splynx_and_uisp_are_in_this_version(tmp_path: Path, source: str) -> None:
    text = f"billing: {{source: {source}, url: https://b.example, key: a, secret: b}}"

    assert not {key for key in warnings(text, tmp_path) if key.startswith("billing")}


def test_the_key_that_everybody_can_sign_with_is_refused(tmp_path: Path) -> None:
    given = "source: hub, url: https://h.example, secret: b, signed_by: [JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=]"
    with pytest.raises(ConfigError, match="expected a key of your own hub"):
        warnings(f"billing: {{{given}}}", tmp_path)


HUB = "source: hub, url: https://h.example, secret: b, signed_by: [fdLEsUdGvuw3r3cfbfZaxBaWZPBWxtjh1Grn/MLgPYg=]"


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("source: uisp, url: https://b.example, key: a, secret: b, splynx: {exempt_labels: [VIP]}",
         "billing.splynx", "splynx: beside source: uisp"),
        ("source: rest, url: https://b.example, secret: b, path: /etc/billing.yaml",
         "billing.path", "path: beside source: rest"),
        ("source: rest, url: http://b.example, secret: b", "billing.url", "http://"),
        ("source: rest, url: https://b.example, secret: b, ca: /nowhere/ca.pem",
         "billing.ca", "/nowhere/ca.pem: no such file or directory"),
        ("source: splynx, url: https://crm.example, key: a, secret: b, splynx: {direct_pay: payfast}",
         "billing.url", "crm.example, which is not in garden.names"),
        (f"{HUB}, fallback: {{source: rest, url: http://b.example, secret: b}}", "billing.fallback.url", "http://"),
        (f"{HUB}, fallback: {{source: rest, url: https://b.example, secret: b, path: /x.yaml}}",
         "billing.fallback.path", "path: beside source: rest"),
        (f"{HUB}, fallback: {{source: rest, url: https://b.example, secret: b, ca: /nowhere/ca.pem}}",
         "billing.fallback.ca", "/nowhere/ca.pem: no such file or directory"),
    ],
)  # fmt: skip
def test_what_of_billing_is_valid_and_will_not_do_is_a_warning(tmp_path: Path, text: str, key: str, found: str) -> None:
    assert warnings(f"billing: {{{text}}}", tmp_path)[key] == found


def test_an_authority_for_an_upstream_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    dns = 'dns: {upstreams: ["9.9.9.9", {address: "9.9.9.9", tls: dns.quad9.net, ca: /nowhere/ca.pem}]}'

    assert warnings(dns, tmp_path)["dns.upstreams[1].ca"] == "/nowhere/ca.pem: no such file or directory"


def test_more_workers_than_can_be_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.native.datagrams.COMPILED", None)

    portal = "portal: {url: https://a.example, addresses: [203.0.113.1]}"
    text = f"{portal}\ndns: {{listen: ['127.0.0.1:5300'], workers: 2}}"

    assert warnings(text, tmp_path)["dns.workers"] == "2"


def test_a_limit_of_a_prefix_below_a_subscribers_is_a_warning(tmp_path: Path) -> None:
    found = warnings("dns: {limit: {per_subscriber: 300, per_prefix: 299}}", tmp_path)

    assert found["dns.limit.per_prefix"] == "299"
    assert "dns.limit.per_prefix" not in warnings("dns: {limit: {per_subscriber: 300, per_prefix: 300}}", tmp_path)


def test_a_page_to_pay_on_that_the_garden_does_not_open_is_a_warning(tmp_path: Path) -> None:
    brand = "portal: {brands: {default: {link: 'https://pay.example.net/login'}}}"
    billing = "billing: {source: file, path: billing.yaml}"

    assert "portal.brands.default.link" in warnings(f"{billing}\n{brand}", tmp_path)
    for garden in ("names: ['*.example.net']", "records: {pay.example.net: [203.0.113.20]}"):
        assert "portal.brands.default.link" not in warnings(f"{billing}\n{brand}\ngarden: {{{garden}}}", tmp_path)


def test_splynx_without_its_secret_is_one_problem(tmp_path: Path) -> None:
    (problem,) = problems("billing: {source: splynx, url: https://b.example, key: a}", tmp_path)

    assert problem.key == "billing"
    assert problem.expected.startswith("secret beside source: splynx")


@given(st.text(max_size=300))
def test_any_text_is_a_document_or_one_problem(text: str) -> None:
    with contextlib.suppress(ConfigError):
        read(text, "x", read_files=False)
