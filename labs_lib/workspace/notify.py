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
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from labs_lib.errors import first_line
from labs_lib.workspace import identity
from labs_lib.workspace.ground import paging, store, vault
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Name, Text, validated
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, NotFound

SCHEMA = """
CREATE TABLE IF NOT EXISTS destinations (
    id TEXT PRIMARY KEY, display_name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, sealed BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY, created INTEGER NOT NULL, address TEXT, destination TEXT, subject TEXT NOT NULL, body TEXT NOT NULL,
    payload TEXT NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, sent INTEGER, problem TEXT
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (due) WHERE sent IS NULL;
"""
TIMEOUT = 10  # seconds of real time for one channel
FIRST_WAIT, LONGEST_WAIT = 10_000, 3_600_000  # ms between tries, by the workspace's clock
SENDER = "noreply@workspace.example.com"

log = logging.getLogger("labs.workspace")


@dataclass(frozen=True)
class Message:
    """What is to be told; `payload` is what a webhook gets as JSON."""

    subject: str
    body: str
    payload: dict[str, Any]


class Email(Model):
    model_config = ConfigDict(extra="forbid")
    addresses: Annotated[list[str], Field(min_length=1, max_length=30)]


class Webhook(Model):
    model_config = ConfigDict(extra="ignore")  # the SDK sends back what it was told: url_set and the like
    url: str
    username: str | None = None
    password: str | None = None


class Config(Model):
    model_config = ConfigDict(extra="allow")
    email: Email | None = None
    generic_webhook: Webhook | None = None


class New(Model):
    display_name: Name
    config: Config


class Which(Model):
    id: str


class Change(Which):
    display_name: Name | None = None
    config: Config | None = None


class Page(Model):
    page_size: Annotated[int, Field(ge=1, le=100)] = 100
    page_token: str | None = None


class Smtp(Model):
    model_config = ConfigDict(extra="forbid")
    host: Text
    port: Annotated[int, Field(ge=1, le=65535)]


def post(
    ctx: Context, message: Message, addresses: Sequence[str] = (), destinations: Sequence[str] = ()
) -> None:
    """Put a message into the outbox, once for each e-mail address and each destination's id."""
    for address, destination in [*((a, None) for a in addresses), *((None, d) for d in destinations)]:
        ctx.db.execute(
            "INSERT INTO outbox (id, created, address, destination, subject, body, payload, due) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(str(uuid.uuid4()), ctx.now, address, destination),
                *(message.subject, message.body, json.dumps(message.payload), ctx.now),
            ),
        )
    _wake(ctx)


def check_address(address: str) -> None:
    """Raise InvalidParameter if that is no e-mail address."""
    plain = parseaddr(address)[1]
    if (
        plain != address
        or address.count("@") != 1
        or not all(address.split("@"))
        or any(c <= " " for c in address)
    ):
        raise InvalidParameter(f"{address[:80]!r} is no e-mail address.")


def check_destination(ctx: Context, id: str) -> None:
    """Raise InvalidParameter if there is no destination of that id."""
    if ctx.db.execute("SELECT 1 FROM destinations WHERE id = ?", (id,)).fetchone() is None:
        raise InvalidParameter(f"There is no notification destination with the id {id[:80]!r}.")


def _checked(config: Config) -> tuple[str, dict[str, Any]]:
    """Kind and content of a configuration. Raises InvalidParameter unless it is exactly one that this workspace has."""
    if config.model_extra:
        raise InvalidParameter(
            f"A destination of the kind {next(iter(config.model_extra))!r} isn't kept here; there are email and generic_webhook."
        )
    if (config.email is None) == (config.generic_webhook is None):
        raise InvalidParameter("config must hold exactly one of email and generic_webhook.")
    if config.email:
        for address in config.email.addresses:
            check_address(address)
        return "EMAIL", config.email.model_dump()
    assert config.generic_webhook is not None
    parts = urlsplit(config.generic_webhook.url)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.scheme not in (("http", "https") if here else ("https",)):
        raise InvalidParameter(
            "A webhook's url must be https; http will do on this machine's own loopback alone."
        )
    return "WEBHOOK", config.generic_webhook.model_dump()


def _create(ctx: Context, new: New) -> dict[str, Any]:
    identity.require_admin(ctx, "makes notification destinations")
    kind, config = _checked(new.config)
    _free(ctx, new.display_name, "")
    number = str(uuid.uuid4())
    sealed = vault.seal(ctx.home, json.dumps(config).encode())
    ctx.db.execute("INSERT INTO destinations VALUES (?, ?, ?, ?)", (number, new.display_name, kind, sealed))
    return _get(ctx, Which(id=number))


def _free(ctx: Context, name: str, but: str) -> None:
    if ctx.db.execute(
        "SELECT 1 FROM destinations WHERE display_name = ? AND id != ?", (name, but)
    ).fetchone():
        raise AlreadyExists(f"There is a notification destination {name!r} already.")


def _row(ctx: Context, id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = ctx.db.execute("SELECT * FROM destinations WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no notification destination with the id {id[:80]!r}.")
    return row


def _get(ctx: Context, which: Which) -> dict[str, Any]:
    """A destination without its secrets: of a webhook is told only which parts are set."""
    row = _row(ctx, which.id)
    config = json.loads(vault.opened(ctx.home, row["sealed"]))
    shown = (
        {"email": config}
        if row["kind"] == "EMAIL"
        else {"generic_webhook": {f"{k}_set": v is not None for k, v in config.items()}}
    )
    return {
        "id": row["id"],
        "display_name": row["display_name"],
        "destination_type": row["kind"],
        "config": shown,
    }


def _update(ctx: Context, change: Change) -> dict[str, Any]:
    identity.require_admin(ctx, "changes notification destinations")
    row = _row(ctx, change.id)
    if change.display_name is None and change.config is None:
        raise InvalidParameter("An update needs display_name or config.")
    kind, sealed = row["kind"], row["sealed"]
    if change.config:
        kind, config = _checked(change.config)
        sealed = vault.seal(ctx.home, json.dumps(config).encode())
    name = change.display_name or row["display_name"]
    _free(ctx, name, change.id)
    ctx.db.execute(
        "UPDATE destinations SET display_name = ?, kind = ?, sealed = ? WHERE id = ?",
        (name, kind, sealed, change.id),
    )
    # What waits for this destination is tried at once: it may have been mended.
    ctx.db.execute("UPDATE outbox SET due = ? WHERE destination = ? AND sent IS NULL", (ctx.now, change.id))
    _wake(ctx)
    return _get(ctx, Which(id=change.id))


def _delete(ctx: Context, which: Which) -> dict[str, Any]:
    identity.require_admin(ctx, "deletes notification destinations")
    _row(ctx, which.id)
    ctx.db.execute("DELETE FROM destinations WHERE id = ?", (which.id,))
    return {}


def _list(ctx: Context, wanted: Page) -> dict[str, Any]:
    rows = ctx.db.execute("SELECT * FROM destinations ORDER BY id").fetchall()
    found, token = paging.page(
        ctx, "destinations", rows, lambda row: [row["id"]], wanted.page_size, wanted.page_token
    )
    shown = [{"id": r["id"], "display_name": r["display_name"], "destination_type": r["kind"]} for r in found]
    return {"results": shown} | ({"next_page_token": token} if token else {})


def _set_smtp(ctx: Context, smtp: Smtp) -> dict[str, Any]:
    """The course's own: through which server e-mails go out. Databricks has one of its own."""
    identity.require_admin(ctx, "sets the mail server")
    store.set_setting(ctx.db, "smtp", json.dumps([smtp.host, smtp.port]))
    ctx.db.execute("UPDATE outbox SET due = ? WHERE sent IS NULL", (ctx.now,))
    _wake(ctx)
    return {}


def _outbox(ctx: Context, _: Model) -> dict[str, Any]:
    """The course's own: what was sent and what waits, and why; never with an address or password of a destination."""
    identity.require_admin(ctx, "looks into the outbox")
    rows = ctx.db.execute(
        "SELECT id, created, destination, subject, due, tries, sent, problem FROM outbox ORDER BY created, id"
    )
    return {"messages": [dict(row) for row in rows]}


def _wake(ctx: Context) -> None:
    if sender := ctx.services.parts.get("notify"):
        ctx.after_commit(sender.wake)


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
    """The thread that empties the outbox."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._woken, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._woken.set()  # what an earlier process left
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._ended.set()
        self._woken.set()
        self._thread.join(TIMEOUT)

    def _run(self) -> None:
        while self._woken.wait() and not self._ended.is_set():
            self._woken.clear()
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
            to = ctx.db.execute("SELECT * FROM destinations WHERE id = ?", (row["destination"],)).fetchone()
            config = json.loads(vault.opened(ctx.home, to["sealed"])) if to else None
        problem = _deliver(row, to["kind"] if to else None, config, smtp)
        with self._services.transaction() as ctx:
            if problem is None:
                ctx.db.execute(
                    "UPDATE outbox SET sent = ?, tries = tries + 1, problem = NULL WHERE id = ?",
                    (ctx.now, row["id"]),
                )
            else:
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(row["tries"], 20))
                ctx.db.execute(
                    "UPDATE outbox SET due = ?, tries = tries + 1, problem = ? WHERE id = ?",
                    (ctx.now + wait, problem, row["id"]),
                )
        return True


def _deliver(
    row: sqlite3.Row, kind: str | None, config: dict[str, Any] | None, smtp: list[Any] | None
) -> str | None:
    """Try to send; None if the channel took it, else a sentence that holds no secret."""
    try:
        if row["address"] or kind == "EMAIL":
            if smtp is None:
                return "No mail server is set; an admin sets it by PUT /api/labs/smtp."
            to = [row["address"]] if row["address"] else (config or {})["addresses"]
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = SENDER, ", ".join(to), row["subject"]
            mail["Message-ID"] = f"<{row['id']}@workspace.example.com>"
            mail.set_content(row["body"])
            with smtplib.SMTP(smtp[0], smtp[1], timeout=TIMEOUT) as server:
                server.send_message(mail)
            return None
        if config is None:
            return "The notification destination is not there any more."
        return _call(config, row)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return (
            f"{type(error).__name__}: the channel did not take it."
            if kind == "WEBHOOK"
            else first_line(error)
        )


def _call(config: dict[str, Any], row: sqlite3.Row) -> str | None:
    import httpx  # late: it takes a fifth of a second

    auth = (config["username"], config["password"] or "") if config["username"] else None
    try:
        answer = httpx.post(
            config["url"],
            content=row["payload"],
            headers={"Content-Type": "application/json", "Idempotency-Key": row["id"]},
            auth=auth,
            timeout=TIMEOUT,
            trust_env=False,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # its text may hold the address
        return f"{type(error).__name__}: the webhook did not answer."
    return None if answer.is_success else f"The webhook answered {answer.status_code}."


class _Destination(Model):
    model_config = ConfigDict(extra="forbid")
    id: Name
    display_name: Name
    config: Config | None


class _State(Model):
    model_config = ConfigDict(extra="forbid")
    destinations: list[_Destination]


def export(ctx: Context) -> dict[str, Any]:
    """Destinations; a webhook's address and password stay where they are."""
    found = []
    for row in ctx.db.execute("SELECT * FROM destinations ORDER BY id"):
        config = (
            {"email": json.loads(vault.opened(ctx.home, row["sealed"]))} if row["kind"] == "EMAIL" else None
        )
        found.append({"id": row["id"], "display_name": row["display_name"], "config": config})
    return {"destinations": found}


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these destinations. A webhook that was here before keeps its address; another leads nowhere until it is given one."""
    told = validated(_State, state)
    assert isinstance(told, _State)
    kept = {
        row["id"]: row["sealed"]
        for row in ctx.db.execute("SELECT * FROM destinations WHERE kind = 'WEBHOOK'")
    }
    ctx.db.execute("DELETE FROM destinations")
    nowhere = vault.seal(
        ctx.home, json.dumps({"url": "http://127.0.0.1:9", "username": None, "password": None}).encode()
    )
    for each in told.destinations:
        kind, sealed = "WEBHOOK", kept.get(each.id, nowhere)
        if each.config:
            kind, config = _checked(each.config)
            sealed = vault.seal(ctx.home, json.dumps(config).encode())
        with suppress(sqlite3.IntegrityError):
            ctx.db.execute(
                "INSERT INTO destinations VALUES (?, ?, ?, ?)", (each.id, each.display_name, kind, sealed)
            )
            continue
        raise InvalidParameter(f"The notification destination {each.display_name!r} stands twice.")


_PATH = "/api/2.0/notification-destinations"
_HIDDEN = frozenset({"config"})
ENDPOINTS = (
    Endpoint(
        "POST", _PATH, _create, New, ("notificationDestinations", "createNotificationDestination"), _HIDDEN
    ),
    Endpoint("GET", _PATH, _list, Page),
    Endpoint("GET", f"{_PATH}/{{id}}", _get, Which),
    Endpoint(
        "PATCH",
        f"{_PATH}/{{id}}",
        _update,
        Change,
        ("notificationDestinations", "updateNotificationDestination"),
        _HIDDEN,
    ),
    Endpoint(
        "DELETE",
        f"{_PATH}/{{id}}",
        _delete,
        Which,
        ("notificationDestinations", "deleteNotificationDestination"),
    ),
    Endpoint("PUT", "/api/labs/smtp", _set_smtp, Smtp),
    Endpoint("GET", "/api/labs/outbox", _outbox),
)
