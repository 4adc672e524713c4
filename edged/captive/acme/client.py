# SPDX-License-Identifier: Apache-2.0
"""A job in on standard input, a certificate in its file and events on standard output out: the child process. I/O.

The one file that loads the library ``acme``; it blocks and sleeps, so it runs in a process of its own that lives for
one job (``service`` starts it and ends it). RFC 8555; RFC 9773 for renewal information.
"""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from acme.crypto_util import make_csr
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from edged import __version__, capabilities
from edged.captive.acme import record
from edged.captive.acme.messages import Done, Event, Failed, Job, Renewal, Serve, job_of, line_of, reason
from edged.captive.acme.schedule import ask_again, retry_after
from edged.captive.certificate import fitting
from edged.errors import ConfigError
from edged.state.files import write_atomically

_ORDER_S = 240.0
"""Seconds for one order; the daemon ends us a little later."""
_ANSWER_S = 30
"""Seconds for one answer of the authority."""
_HOOK_S = 180.0
"""Seconds for the hook, which returns when the record can be seen by everybody."""
_NONCES = 6
"""Times a request is sent until its nonce is taken (RFC 8555 section 6.5); the library's two are too few."""
_NEVER_ASK_S = 7 * 86400.0
"""Seconds until an authority without renewal information is asked whether it has some now."""

_UNREACHABLE = {
    "SSLError": "its certificate is not trusted",
    "ConnectTimeout": "it does not answer",
    "ReadTimeout": "it does not answer",
    "ProxyError": "the proxy does not let us through",
    "ConnectionError": "it cannot be reached",
}
"""What the library's transport raises, by name: its module stays out of this package."""


class _Refused(Exception):  # noqa: N818  # a reason, not a fault of ours
    """The job cannot be done, in a sentence for the operator."""


class _Network(ClientNetwork):
    """The library's transport, which also remembers Retry-After and is patient with nonces."""

    not_before = 0.0

    def post(self, *args: Any, **kwargs: Any) -> Any:
        for _ in range(_NONCES - 1):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)

    def _send_request(self, *args: Any, **kwargs: Any) -> Any:
        response = super()._send_request(*args, **kwargs)
        if response.status_code >= 400 and "Retry-After" in response.headers:
            self.not_before = retry_after(response.headers["Retry-After"], time.time())
        return response


class Client:
    """One job with one authority; ``say`` tells the daemon, ``heard`` waits for its answer."""

    def __init__(self, job: Job, say: Callable[[Event], None], heard: Callable[[], None]) -> None:
        self._job, self._say, self._heard = job, say, heard
        self._folder = Path(job.folder)
        # the library compares with the clock on the wall, without a zone
        self._deadline = datetime.now() + timedelta(seconds=_ORDER_S)  # noqa: DTZ005
        self.network = _Network(alg=ES256, user_agent=f"edged/{__version__}", timeout=_ANSWER_S)
        self._client: ClientV2

    def work(self) -> Event:
        """What became of the job."""
        self._client = ClientV2(ClientV2.get_directory(self._job.directory, self.network), self.network)
        if self._job.step == "ask":
            return self._ask()
        if self._client.external_account_required():
            raise _Refused("the authority wants an external account, which edged does not have")
        self._take_account()
        order, key = self._order()
        try:
            finished = self._finished(order)
        except (errors.ValidationError, errors.IssuanceError):
            self._forget_order()
            raise
        self._keep(finished.fullchain_pem, key)
        return Done()

    def _ask(self) -> Renewal:
        now = time.time()
        chain = record.certificate_files(self._folder, self._job.host).chain.read_bytes()
        at, again = self._client.renewal_time(chain)
        if at is None:
            return Renewal(0.0, now + _NEVER_ASK_S)
        return Renewal(at.timestamp(), ask_again(again.timestamp(), now))

    # --- the account -----------------------------------------------------------------------------

    def _take_account(self) -> None:
        job, path = self._job, record.account_path(self._folder, self._job.directory)
        account = record.account_of(_read(path))
        if account is None or account.directory != job.directory:
            fresh = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
            account = record.Account(job.directory, job.contact, fresh.to_json())
            # before the authority hears of it: a key that is lost is an account nobody has
            write_atomically(path, [record.encoded(account)])
        self.network.key = JWK.from_json(account.key)
        if not account.uri:
            self._register()
            return
        known = messages.RegistrationResource(body=messages.Registration(), uri=account.uri)
        self.network.account = known
        if account.contact != job.contact:
            self._client.update_registration(known, messages.Registration.from_data(email=job.contact))
            self._keep_account(account.uri)

    def _register(self) -> None:
        self.network.account = None
        wanted = messages.NewRegistration.from_data(email=self._job.contact, terms_of_service_agreed=True)
        try:
            uri = str(self._client.new_account(wanted).uri)
        except errors.ConflictError as known:  # the key is one it knows
            uri = known.location
            self.network.account = messages.RegistrationResource(body=messages.Registration(), uri=uri)
        self._keep_account(uri)

    def _keep_account(self, uri: str) -> None:
        if self.network.key is None:
            return
        account = record.Account(self._job.directory, self._job.contact, self.network.key.to_json(), uri)
        write_atomically(record.account_path(self._folder, self._job.directory), [record.encoded(account)])

    # --- the order -------------------------------------------------------------------------------

    def _order(self) -> tuple[messages.OrderResource, str]:
        """The order under way, or a new one, and the certificate's private key."""
        try:
            return self._resumed() or self._begun()
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
        # the authority has forgotten us: the same key is welcome again
        self._register()
        return self._begun()

    def _resumed(self) -> tuple[messages.OrderResource, str] | None:
        job, path = self._job, record.order_path(self._folder, self._job.host)
        kept = record.order_of(_read(path))
        if kept is None or (kept.directory, kept.host) != (job.directory, job.host):
            return None
        try:
            body = messages.Order.from_json(self._get(kept.uri).json())
            if body.status not in {messages.STATUS_INVALID, None}:
                found = messages.OrderResource(
                    body=body, uri=kept.uri, csr_pem=make_csr(kept.key.encode(), [job.host]),
                    authorizations=[self._authorization(url) for url in body.authorizations],
                )  # fmt: skip
                return found, kept.key
        except (errors.ClientError, messages.Error) as error:
            if isinstance(error, messages.Error) and error.code in {"accountDoesNotExist", "rateLimited"}:
                raise
        self._forget_order()
        return None

    def _begun(self) -> tuple[messages.OrderResource, str]:
        job = self._job
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        order = self._client.new_order(make_csr(key, [job.host]))
        kept = record.Order(job.directory, job.host, order.uri, key.decode())
        write_atomically(record.order_path(self._folder, job.host), [record.encoded(kept)])
        return order, kept.key

    def _get(self, url: str) -> Any:
        """POST-as-GET (RFC 8555 section 6.3)."""
        return self.network.post(url, None, new_nonce_url=self._client.directory["newNonce"])

    def _authorization(self, url: str) -> messages.AuthorizationResource:
        body = messages.Authorization.from_json(self._get(url).json())
        return messages.AuthorizationResource(body=body, uri=url)

    def _finished(self, order: messages.OrderResource) -> messages.OrderResource:
        """``order`` with its certificate, wherever it stood."""
        if order.body.status in {messages.STATUS_VALID, messages.STATUS_PROCESSING}:
            return self._client.poll_finalization(order, self._deadline)
        if order.body.status == messages.STATUS_PENDING:
            for authorization in order.authorizations:
                if authorization.body.status == messages.STATUS_PENDING:
                    with self._answering(authorization):
                        self._client.poll_authorizations(order, self._deadline)
        return self._client.finalize_order(order, self._deadline)

    def _forget_order(self) -> None:
        record.order_path(self._folder, self._job.host).unlink(missing_ok=True)

    def _keep(self, chain: str, key: str) -> None:
        """The certificate into its file, if it is what was ordered; the order is then over."""
        try:
            fitting(chain.encode(), key.encode(), self._job.host)
        except ConfigError as error:
            self._forget_order()
            raise _Refused(f"the authority sent {error.problems[0].found}") from None
        path = record.certificate_files(self._folder, self._job.host).chain
        write_atomically(path, [key.encode(), chain.encode()])
        self._forget_order()

    # --- the challenge ---------------------------------------------------------------------------

    @contextmanager
    def _answering(self, authorization: messages.AuthorizationResource) -> Iterator[None]:
        """While open, the challenge of ``authorization`` is answered, and the authority knows."""
        kind = challenges.DNS01 if self._job.hook else challenges.HTTP01
        challenge = next((c for c in authorization.body.challenges if isinstance(c.chall, kind)), None)
        if challenge is None:
            raise _Refused(f"the authority offers no {kind.typ} challenge")
        response, validation = challenge.response_and_validation(self.network.key)
        with self._published(challenge.chall, validation):
            if challenge.status == messages.STATUS_PENDING:
                self._client.answer_challenge(challenge, response)
            yield

    @contextmanager
    def _published(self, challenge: Any, validation: str) -> Iterator[None]:
        if not self._job.hook:
            self._say(Serve(challenge.encode("token"), validation))
            self._heard()
            yield
            return
        name = challenge.validation_domain_name(self._job.host)
        try:
            self._hook("add", name, validation)
            yield
        finally:
            with suppress(_Refused):  # a record that stays harms nobody; the outcome is what counts
                self._hook("remove", name, validation)

    def _hook(self, action: str, name: str, value: str) -> None:
        """Run the operator's program, without a shell and without our capabilities."""
        command = [self._job.hook, action, name, value]
        try:
            ran = subprocess.run(  # noqa: S603  # the operator's own program; our words are base64 and a host name
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_HOOK_S, check=False
            )
        except OSError as error:
            raise _Refused(f"the hook {command[0]} does not run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise _Refused(f"the hook {command[0]} did not end within {_HOOK_S:.0f} s") from None
        if ran.returncode:
            said = (ran.stderr or ran.stdout).decode(errors="replace").strip().splitlines()[-1:]
            raise _Refused(f"the hook {command[0]} {action} failed with {ran.returncode}: {''.join(said)}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(record.MAX_OCTETS)
    except FileNotFoundError:
        return b""


def sentence(error: Exception, hook: str) -> str:
    """Why a job failed, for the operator."""
    match error:
        case _Refused():
            said = str(error)
        case errors.ValidationError():
            what = "did not find our record (DNS-01)" if hook else "could not fetch our answer at port 80 (HTTP-01)"
            said = f"the authority {what}: {'; '.join(_found_wrong(error))}"
        case errors.IssuanceError():
            said = f"the authority refuses: {error.error.detail or error.error.typ}"
        case messages.Error():
            said = f"the authority refuses: {error.detail or error.typ} ({error.code})"
        case errors.TimeoutError():
            said = "the authority did not come to an end in time"
        case errors.Error():
            said = f"the authority answers something that is not ACME ({type(error).__name__})"
        case OSError() if type(error).__name__ in _UNREACHABLE:
            said = f"the authority: {_UNREACHABLE[type(error).__name__]}"
        case OSError():
            said = f"{error.filename or 'the authority'}: {error.strerror or type(error).__name__}"
        case _:
            said = f"a fault of edged ({type(error).__name__}); please report it"
    return said


def _found_wrong(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                yield challenge.error.detail or challenge.error.typ


def _trusted(ca: str) -> str:
    """The PEM file or folder of the authorities to trust; empty: those that the library brings."""
    paths = ssl.get_default_verify_paths()
    return ca or paths.cafile or paths.capath or ""


def main() -> int:
    """Do the job on standard input; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon decides when we end
    # nobody is left behind by a daemon that was killed; and the hook gets none of its capabilities
    capabilities.end_with_parent(signal.SIGKILL)
    capabilities.clear_ambient()
    job = job_of(sys.stdin.buffer.readline())
    if trusted := _trusted(job.ca):
        os.environ["REQUESTS_CA_BUNDLE"] = trusted

    def say(event: Event) -> None:
        sys.stdout.buffer.write(line_of(event))
        sys.stdout.buffer.flush()

    def heard() -> None:
        if not sys.stdin.buffer.readline():
            raise SystemExit(os.EX_UNAVAILABLE)

    client = Client(job, say, heard)
    try:
        say(client.work())
    except Exception as error:  # noqa: BLE001  # whatever it is, the daemon is told, and tries again later
        say(Failed(reason(sentence(error, job.hook)), client.network.not_before))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
