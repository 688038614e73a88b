"""Messages over a real SMTP server and a real webhook: nothing lost, nothing secret told."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from databricks.sdk.errors import (
    DatabricksError,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
)
from databricks.sdk.service.jobs import (
    ConditionTask,
    ConditionTaskOp,
    JobEmailNotifications,
    Task,
    Webhook,
    WebhookNotifications,
)
from databricks.sdk.service.settings import Config, EmailConfig, GenericWebhookConfig, SlackConfig

from labs_lib.engine.keeper import free_port
from tests.workspace.conftest import Served
from tests.workspace.jobs.conftest import finished, python, until


class Hook:
    """A webhook that answers what it is told to, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer = 200
        self.got: list[tuple[dict[str, Any], str]] = []  # payload, id
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.answer == 200:
                    outer.got.append((body, self.headers["Idempotency-Key"]))
                self.send_response(outer.answer)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/planted-path"

    @property
    def events(self) -> list[str]:
        return [payload["event_type"] for payload, _ in self.got]


class Mailbox:
    """An SMTP server that keeps what it was sent."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.port = free_port()
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        self.got.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    yield made
    made.controller.stop()


def destination(workspace: Served, hook: Hook, name: str = "ops") -> str:
    config = Config(generic_webhook=GenericWebhookConfig(url=hook.url))
    return str(workspace.client().notification_destinations.create(display_name=name, config=config).id)


def outbox(workspace: Served) -> list[dict[str, Any]]:
    return list(workspace.http.get("/api/labs/outbox").json()["messages"])


def condition(right: str = "1", **more: Any) -> Task:
    """A task that succeeds at once, or fails at once where the sides are no numbers."""
    return Task(
        "c", condition_task=ConditionTask(op=ConditionTaskOp.LESS_THAN, left="0", right=right), **more
    )


def test_destinations_never_show_what_they_hold(workspace: Served, hook: Hook) -> None:
    w = workspace.client().notification_destinations
    number = destination(workspace, hook)
    mail = w.create(display_name="mail", config=Config(email=EmailConfig(addresses=["ana@example.com"])))
    shown = w.get(number)
    assert shown.destination_type.value == "WEBHOOK" and shown.config.generic_webhook.url is None
    assert shown.config.generic_webhook.url_set
    assert w.get(str(mail.id)).config.email.addresses == ["ana@example.com"]
    assert sorted(str(each.display_name) for each in w.list()) == ["mail", "ops"]
    state = workspace.http.get("/api/labs/state").text
    for text in (
        state,
        *(p.read_bytes().decode(errors="replace") for p in workspace.home.rglob("*") if p.is_file()),
    ):
        assert "planted-path" not in text
    w.delete(number)
    with pytest.raises(NotFound):
        w.get(number)


def test_refusals(workspace: Served, hook: Hook) -> None:
    w = workspace.client().notification_destinations
    destination(workspace, hook)
    for config in [
        Config(),
        Config(email=EmailConfig(addresses=[])),
        Config(email=EmailConfig(addresses=["nobody"])),
        Config(email=EmailConfig(addresses=["a@b.c\nBcc: x@y.z"])),
        Config(
            email=EmailConfig(addresses=["a@b.c"]),
            generic_webhook=GenericWebhookConfig(url="https://x.example"),
        ),
        Config(generic_webhook=GenericWebhookConfig(url="http://elsewhere.example/hook")),
        Config(generic_webhook=GenericWebhookConfig(url="file:///etc/passwd")),
        Config(slack=SlackConfig(url="https://hooks.slack.com/x")),
    ]:
        with pytest.raises(InvalidParameterValue):
            w.create(display_name="new", config=config)
    with pytest.raises(ResourceAlreadyExists):
        destination(workspace, hook)
    workspace.client().users.create(user_name="ben@example.com")
    ben = workspace.client("ben@example.com").notification_destinations
    with pytest.raises(PermissionDenied, match="Only an admin makes"):
        ben.create(display_name="b", config=Config(email=EmailConfig(addresses=["ben@example.com"])))
    with pytest.raises(DatabricksError):
        w.create(display_name="x")


def test_a_run_tells_by_mail_and_webhook(workspace: Served, hook: Hook, mailbox: Mailbox) -> None:
    w = workspace.client()
    assert (
        workspace.http.put("/api/labs/smtp", json={"host": "127.0.0.1", "port": mailbox.port}).status_code
        == 200
    )
    number = destination(workspace, hook)
    webhooks = WebhookNotifications(
        on_start=[Webhook(number)], on_success=[Webhook(number)], on_failure=[Webhook(number)]
    )
    mails = JobEmailNotifications(on_failure=["ana@example.com"])
    for right in ("1", "none"):
        tasks = [condition(right), python(w, "t", f"assert {right!r} == '1'")]
        job = w.jobs.create(
            name="nightly", tasks=tasks, email_notifications=mails, webhook_notifications=webhooks
        )
        run = finished(w, w.jobs.run_now(job.job_id).run_id)
    until(lambda: len(mailbox.got) == 1 and len(hook.got) == 4, "a mail and four calls")
    assert hook.events == ["jobs.on_start", "jobs.on_success", "jobs.on_start", "jobs.on_failure"]
    payload, _ = hook.got[-1]
    assert payload["run"] == {"run_id": run.run_id} and payload["job"] == {
        "job_id": job.job_id,
        "name": "nightly",
    }
    ((to, mail),) = mailbox.got
    assert (
        to == ["ana@example.com"] and mail["Subject"] == f"The run {run.run_id} of the job 'nightly' failed"
    )
    until(lambda: all(message["sent"] for message in outbox(workspace)), "messages that are sent")


def test_a_channel_that_is_down_loses_nothing(workspace: Served, hook: Hook) -> None:
    w = workspace.client()
    number = destination(workspace, hook)
    hook.answer = 503
    job = w.jobs.create(
        name="x",
        tasks=[condition()],
        webhook_notifications=WebhookNotifications(on_success=[Webhook(number)]),
    )
    for _ in range(3):
        w.jobs.run_now(job.job_id)
    until(lambda: sum(message["tries"] for message in outbox(workspace)) >= 1, "a try")
    waiting = outbox(workspace)
    assert len(waiting) == 3 and not any(message["sent"] for message in waiting)
    assert any(
        "answered 503" in str(message["problem"]) for message in waiting
    ) and "planted" not in json.dumps(waiting)
    hook.answer = 200
    workspace.advance(7200)
    until(lambda: all(message["sent"] for message in outbox(workspace)), "three messages that are sent")
    assert len(hook.got) == len({key for _, key in hook.got}) == 3


def test_mail_waits_for_a_server_and_goes_as_soon_as_one_is_set(workspace: Served, mailbox: Mailbox) -> None:
    w = workspace.client()
    mails = JobEmailNotifications(on_success=["ana@example.com"])
    w.jobs.run_now(w.jobs.create(name="x", tasks=[condition()], email_notifications=mails).job_id)
    until(lambda: any("No mail server" in str(m["problem"]) for m in outbox(workspace)), "the reason")
    workspace.http.put("/api/labs/smtp", json={"host": "127.0.0.1", "port": mailbox.port})
    until(lambda: mailbox.got, "the mail")


def test_a_hanging_webhook_keeps_nobody_from_working(
    workspace: Served, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labs_lib.workspace import notify

    monkeypatch.setattr(notify, "TIMEOUT", 0.5)
    began: list[float] = []
    answer: Callable[..., None] = hook.server.RequestHandlerClass.do_POST  # type: ignore[attr-defined]

    def hang(handler: Any) -> None:
        began.append(time.monotonic())
        if len(began) == 1:
            threading.Event().wait(1.5)
        answer(handler)

    monkeypatch.setattr(hook.server.RequestHandlerClass, "do_POST", hang)
    w = workspace.client()
    number = destination(workspace, hook)
    job = w.jobs.create(
        name="x",
        tasks=[condition()],
        webhook_notifications=WebhookNotifications(on_success=[Webhook(number)]),
    )
    run_id = w.jobs.run_now(job.job_id).run_id
    assert w.jobs.get_run(run_id).state.result_state.value == "SUCCESS"
    until(lambda: outbox(workspace)[0]["tries"] == 1, "the first try's end")
    assert outbox(workspace)[0]["problem"] == "ReadTimeout: the webhook did not answer."
    workspace.advance(60)
    until(lambda: outbox(workspace)[0]["sent"], "the second try")
    assert len({key for _, key in hook.got}) == 1  # whoever got it twice can tell
