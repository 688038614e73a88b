"""Notification destinations, and the outbox through which messages go out: by SMTP, and by POST to a webhook.

A message is put into the outbox in the transaction that it speaks of. A thread sends it; where a channel is down the message stays and is
tried again by the workspace's clock, later each time, so none is lost. It may come twice if the service is killed while it sends: it then
has the same id. Sources: docs.databricks.com, "Notification destinations API", "Add notifications on a job" (the webhook's payload).
"""

from __future__ import annotations

import json
import logging
import smtplib
import sqlite3
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from labs_lib.errors import first_line
from labs_lib.workspace import identity
from labs_lib.workspace.ground import store, vault
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Name, Strict, Text, validated
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, NotFound

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY, created INTEGER NOT NULL, address TEXT, destination TEXT, subject TEXT NOT NULL, body TEXT NOT NULL,
    payload TEXT NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, sent INTEGER, problem TEXT
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (due) WHERE sent IS NULL;
"""
KIND = "destination"
TIMEOUT = 10  # seconds of real time for one channel
FIRST_WAIT, LONGEST_WAIT = 10_000, 3_600_000  # ms between tries, by the workspace's clock
SENDER = "noreply@workspace.example.com"
NOWHERE = "http://127.0.0.1:9"  # of a webhook that was loaded, until it is made anew

log = logging.getLogger("labs.workspace")


@dataclass(frozen=True)
class Message:
    """What is to be told; `payload` is what a webhook gets as JSON."""

    subject: str
    body: str
    payload: dict[str, Any]


class Email(Strict):
    addresses: Annotated[list[str], Field(min_length=1, max_length=30)]


class Webhook(Strict):
    url: str


class Config(Model):
    model_config = ConfigDict(extra="allow")
    email: Email | None = None
    generic_webhook: Webhook | None = None


class New(Model):
    display_name: Name
    config: Config


class Which(Model):
    id: str


class Smtp(Strict):
    host: Text
    port: Annotated[int, Field(ge=1, le=65535)]


def post(ctx: Context, message: Message, addresses: Sequence[str], destinations: Sequence[str]) -> None:
    """Put a message into the outbox, once for each e-mail address and each destination's id."""
    told = {"subject": message.subject, "body": message.body, "payload": json.dumps(message.payload)}
    for address, destination in [*((a, None) for a in addresses), *((None, d) for d in destinations)]:
        to = {"id": str(uuid.uuid4()), "address": address, "destination": destination}
        store.insert(ctx.db, "outbox", **to, **told, created=ctx.now, due=ctx.now)
        _wake(ctx)


def check_address(address: str) -> None:
    """Raise InvalidParameter if that is no e-mail address."""
    name, _, domain = address.partition("@")
    if (
        parseaddr(address)[1] != address
        or not name
        or not domain
        or "@" in domain
        or any(c <= " " for c in address)
    ):
        raise InvalidParameter(f"{address[:80]!r} is no e-mail address.")


def check_destination(ctx: Context, id: str) -> None:
    """Raise InvalidParameter if there is no destination of that id."""
    if store.get(ctx.db, KIND, id) is None:
        raise InvalidParameter(f"There is no notification destination with the id {id[:80]!r}.")


def _keep(ctx: Context, id: str, name: str, config: Config) -> None:
    """Keep a destination. Raises InvalidParameter unless it is exactly one of a kind that this workspace has, AlreadyExists."""
    if config.model_extra:
        raise InvalidParameter(
            f"A destination of the kind {next(iter(config.model_extra))!r} isn't kept here; there are email and generic_webhook."
        )
    if (config.email is None) == (config.generic_webhook is None):
        raise InvalidParameter("config must hold exactly one of email and generic_webhook.")
    for address in config.email.addresses if config.email else []:
        check_address(address)
    url = config.generic_webhook.url if config.generic_webhook else None
    if url is not None:
        parts = urlsplit(url)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or parts.scheme not in (("http", "https") if here else ("https",)):
            raise InvalidParameter(
                "A webhook's url must be https; http will do on this machine's own loopback alone."
            )
    body = {
        "display_name": name,
        "addresses": config.email.addresses if config.email else None,
        "sealed": vault.seal(ctx.home, url.encode()).decode() if url else None,
    }
    try:
        store.put(ctx.db, KIND, id, body, name)
    except sqlite3.IntegrityError:
        raise AlreadyExists(f"There is a notification destination {name!r} already.") from None


def _create(ctx: Context, new: New) -> dict[str, Any]:
    identity.require_admin(ctx, "makes notification destinations")
    id = str(uuid.uuid4())
    _keep(ctx, id, new.display_name, new.config)
    return _get(ctx, Which(id=id))


def _get(ctx: Context, which: Which) -> dict[str, Any]:
    """A destination without its secrets: of a webhook is told only that its address is set."""
    found = store.get(ctx.db, KIND, which.id)
    if found is None:
        raise NotFound(f"There is no notification destination with the id {which.id[:80]!r}.")
    config = (
        {"email": {"addresses": found["addresses"]}}
        if found["addresses"]
        else {"generic_webhook": {"url_set": True}}
    )
    return {**_listed(which.id, found), "config": config}


def _listed(id: str, found: dict[str, Any]) -> dict[str, Any]:
    kind = "EMAIL" if found["addresses"] else "WEBHOOK"
    return {"id": id, "display_name": found["display_name"], "destination_type": kind}


def _delete(ctx: Context, which: Which) -> None:
    identity.require_admin(ctx, "deletes notification destinations")
    _get(ctx, which)
    store.remove(ctx.db, KIND, which.id)


def _list(ctx: Context, _: Model) -> dict[str, Any]:
    return {"results": [_listed(id, found) for id, found in store.every(ctx.db, KIND)]}


def _set_smtp(ctx: Context, smtp: Smtp) -> None:
    """The course's own: through which server e-mails go out. Databricks has one of its own."""
    identity.require_admin(ctx, "sets the mail server")
    store.set_setting(ctx.db, "smtp", json.dumps([smtp.host, smtp.port]))
    ctx.db.execute("UPDATE outbox SET due = ? WHERE sent IS NULL", (ctx.now,))
    _wake(ctx)


def _outbox(ctx: Context, _: Model) -> dict[str, Any]:
    """The course's own: what was sent and what waits, and why; never with a destination's address."""
    identity.require_admin(ctx, "looks into the outbox")
    rows = ctx.db.execute(
        "SELECT id, created, destination, subject, due, tries, sent, problem FROM outbox ORDER BY created, id"
    )
    return {"messages": [dict(row) for row in rows]}


def _wake(ctx: Context) -> None:
    if sender := ctx.services.parts.get("notify"):
        ctx.after_commit(sender.woken.set)


def tick(ctx: Context) -> None:
    """Wake the sender if a message's next try has become due."""
    if ctx.db.execute("SELECT 1 FROM outbox WHERE sent IS NULL AND due <= ?", (ctx.now,)).fetchone():
        _wake(ctx)


def start(services: Services) -> None:
    """Begin to send."""
    services.parts["notify"] = Sender(services)


def stop(services: Services) -> None:
    """Send no more; what waits is still there at the next start."""
    services.parts.pop("notify").stop()


class Sender:
    """The thread that empties the outbox whenever it is `woken`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.woken, self._ended = threading.Event(), threading.Event()
        self.woken.set()  # what an earlier process left
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self.woken.set()
        self._thread.join(TIMEOUT)

    def _run(self) -> None:
        while self.woken.wait() and not self._ended.is_set():
            self.woken.clear()
            try:
                while not self._ended.is_set() and self._send_next():
                    pass
            except Exception:
                log.exception("the outbox could not be emptied")

    def _send_next(self) -> bool:
        """Send the message that is due longest; tells whether there was one."""
        with self._services.transaction() as ctx:
            query = "SELECT * FROM outbox WHERE sent IS NULL AND due <= ? ORDER BY due, id LIMIT 1"
            row = ctx.db.execute(query, (ctx.now,)).fetchone()
            if row is None:
                return False
            smtp = json.loads(store.setting(ctx.db, "smtp", "null"))
            to: dict[str, Any] | None = {"addresses": [row["address"]]}
            if row["destination"]:
                to = store.get(ctx.db, KIND, row["destination"])
            url = (
                vault.opened(ctx.home, to["sealed"].encode()).decode() if to and not to["addresses"] else None
            )
        if to is None:
            problem: str | None = "The notification destination is not there any more."
        else:
            problem = _call(url, row) if url else _mail(to["addresses"], row, smtp)
        with self._services.transaction() as ctx:
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(row["tries"], 20))
            sent, due = (ctx.now, row["due"]) if problem is None else (None, ctx.now + wait)
            store.update(
                ctx.db, "outbox", row["id"], sent=sent, due=due, tries=row["tries"] + 1, problem=problem
            )
        return True


def _mail(addresses: list[str], row: sqlite3.Row, smtp: list[Any] | None) -> str | None:
    """Send by SMTP; None if the server took it, else a sentence."""
    if smtp is None:
        return "No mail server is set; an admin sets it by PUT /api/labs/smtp."
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = SENDER, ", ".join(addresses), row["subject"]
    mail["Message-ID"] = f"<{row['id']}@workspace.example.com>"
    mail.set_content(row["body"])
    try:
        with smtplib.SMTP(smtp[0], smtp[1], timeout=TIMEOUT) as server:
            server.send_message(mail)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return first_line(error)
    return None


def _call(url: str, row: sqlite3.Row) -> str | None:
    """Send by POST; None if the webhook took it, else a sentence, which doesn't hold the address."""
    import httpx  # late: it takes a fifth of a second

    headers = {"Content-Type": "application/json", "Idempotency-Key": row["id"]}
    try:
        answer = httpx.post(url, content=row["payload"], headers=headers, timeout=TIMEOUT, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return f"{type(error).__name__}: the webhook did not answer."
    return None if answer.is_success else f"The webhook answered {answer.status_code}."


class _Destination(Strict):
    id: Name
    display_name: Name
    config: Config | None


class _State(Strict):
    destinations: list[_Destination]


def export(ctx: Context) -> dict[str, Any]:
    """Destinations; a webhook's address stays where it is."""
    return {
        "destinations": [
            {
                "id": id,
                "display_name": found["display_name"],
                "config": {"email": {"addresses": found["addresses"]}} if found["addresses"] else None,
            }
            for id, found in store.every(ctx.db, KIND)
        ]
    }


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these destinations. A webhook that was here before keeps its address; another leads nowhere."""
    told = validated(_State, state)
    if len({each.id for each in told.destinations}) < len(told.destinations):
        raise InvalidParameter("Two notification destinations have the same id.")
    kept = dict(store.every(ctx.db, KIND))
    store.clear(ctx.db, KIND)
    for each in told.destinations:
        before = kept.get(each.id) or {}
        sealed = before.get("sealed")
        url = vault.opened(ctx.home, sealed.encode()).decode() if sealed else NOWHERE
        config = each.config or Config(generic_webhook=Webhook(url=url))
        _keep(ctx, each.id, each.display_name, config)


_PATH, _SERVICE = "/api/2.0/notification-destinations", "notificationDestinations"
ENDPOINTS = (
    Endpoint("POST", _PATH, _create, New, (_SERVICE, "createNotificationDestination"), frozenset({"config"})),
    Endpoint("GET", _PATH, _list),
    Endpoint("GET", f"{_PATH}/{{id}}", _get, Which),
    Endpoint("DELETE", f"{_PATH}/{{id}}", _delete, Which, (_SERVICE, "deleteNotificationDestination")),
    Endpoint("PUT", "/api/labs/smtp", _set_smtp, Smtp),
    Endpoint("GET", "/api/labs/outbox", _outbox),
)
