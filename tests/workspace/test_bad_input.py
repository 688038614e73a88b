"""What nobody should send, and what comes back: a sentence that the SDK understands, and nothing half done."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
from databricks.sdk.errors import DatabricksError, InternalError, NotFound, Unauthenticated

from labs_lib.workspace import app
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from workspace.conftest import Served, client_of, serve

USERS = "/api/2.0/preview/scim/v2/Users"
GROUPS = "/api/2.0/preview/scim/v2/Groups"


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The sentence of an answer, which has to be such a refusal."""
    told = answer.json()
    assert (answer.status_code, told["error_code"]) == (status, code), answer.text
    assert answer.headers["x-request-id"] == told["details"][0]["request_id"]
    assert "Traceback" not in answer.text and told["message"].endswith(".")
    return str(told["message"])


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"{", "MALFORMED_REQUEST", "is not JSON"),
        (b"[1]", "MALFORMED_REQUEST", "is a JSON list"),
        (b"null", "MALFORMED_REQUEST", "is a JSON NoneType"),
        (b'{"userName": NaN}', "MALFORMED_REQUEST", "is not JSON"),
        (b"\xff\xfe", "MALFORMED_REQUEST", "is not JSON"),
        (b'{"userName": "\\ud800@example.com"}', "MALFORMED_REQUEST", "is not JSON"),
        (b"[" * 100_000, "MALFORMED_REQUEST", "is not JSON"),
        (b'{"a":' * 100_000, "MALFORMED_REQUEST", "is not JSON"),
        (b"{}", "INVALID_PARAMETER_VALUE", "userName is missing"),
        (b'{"userName": 7}', "INVALID_PARAMETER_VALUE", "userName is 7: input should be a valid string"),
        (b'{"userName": null}', "INVALID_PARAMETER_VALUE", "userName is None"),
        (b'{"userName": "ana"}', "INVALID_PARAMETER_VALUE", "userName is 'ana'"),
        (b'{"userName": "a\'; DROP TABLE principals--@example.com"}', "INVALID_PARAMETER_VALUE", "userName is"),
        (b'{"userName": "a\\u0000@example.com"}', "INVALID_PARAMETER_VALUE", "userName is"),
        (b'{"userName": "a@example.com", "active": "perhaps"}', "INVALID_PARAMETER_VALUE", "active is 'perhaps'"),
        (b'{"userName": "a@example.com", "displayName": "x\\ny"}', "INVALID_PARAMETER_VALUE", "displayName is"),
        (b'{"userName": "a@example.com", "displayName": "a \\"b\\""}', "INVALID_PARAMETER_VALUE", "displayName is"),
        (b'{"userName": "a@example.com", "emails": {}}', "INVALID_PARAMETER_VALUE", "emails is {}"),
        (b'{"userName": "' + b"a" * 300 + b'@example.com"}', "INVALID_PARAMETER_VALUE", "at most 255 characters"),
    ],
)  # fmt: skip
def test_a_body_that_is_wrong_is_one_sentence(body: bytes, code: str, says: str, workspace: Served) -> None:
    assert says in refused(workspace.http.post(USERS, content=body), 400, code)
    assert [user.user_name for user in workspace.client().users.list()] == ["learner@example.com"]


def test_a_large_body_is_refused_unread(workspace: Served) -> None:
    for size in (2**20 + 1, 10 * 2**20):
        body = json.dumps({"userName": "ana@example.com", "displayName": "x" * size}).encode()
        said = refused(workspace.http.post(USERS, content=body), 413, "REQUEST_ENTITY_TOO_LARGE")
        assert "1,048,576 bytes" in said
    with pytest.raises(DatabricksError, match="larger than 1,048,576 bytes"):
        workspace.client().users.create(user_name="ana@example.com", display_name="x" * 10 * 2**20)
    assert workspace.client().current_user.me().user_name


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("GET", "/api/2.0/dbfs/list", "There is no GET /api/2.0/dbfs/list in this workspace, which has"),
        ("GET", "/api/2.0/tokens/list", "did you mean token"),
        ("GET", "/api/2.0/token/lst", "of token it has POST /api/2.0/token/create"),
        ("DELETE", "/api/2.0/token/list", "/api/2.0/token/list takes GET and not DELETE"),
        ("GET", "/", None),
        ("GET", "/..%2f..%2fetc/passwd", "There is no GET"),
        ("GET", "/api/2.0/preview/scim/v2/Users/1000/x", "of preview/scim/v2 it has GET"),
        ("BREW", "/api/2.0/token/list", "takes GET and not BREW"),
    ],
)
def test_a_path_that_is_not_there_names_what_is(
    method: str, path: str, says: str | None, workspace: Served
) -> None:
    answer = workspace.http.request(method, path)
    if says is None:
        assert answer.status_code == 303 and answer.headers["location"] == "/page/"
    else:
        assert says in refused(answer, 404, "ENDPOINT_NOT_FOUND")


def test_the_sdk_raises_not_found_for_what_the_workspace_has_not(workspace: Served) -> None:
    with pytest.raises(NotFound, match=r"no GET /api/2\.0/lakeview/dashboards in this workspace"):
        list(workspace.client().lakeview.list())


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic dXNlcjpwYXNz", "dapi0"])
def test_no_token_is_unauthenticated(header: str | None, workspace: Served) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.get(f"{workspace.address}{USERS}", headers=headers)
    assert "Authorization: Bearer" in refused(answer, 401, "UNAUTHENTICATED")
    assert httpx.get(f"{workspace.address}/.well-known/databricks-config").json() == {}


@pytest.mark.parametrize("token", ["garbage", "dapi" + "0" * 32, "x" * 10_000, "' OR 1=1 --"])
def test_a_strange_token_is_refused_before_anything_is_told(token: str, workspace: Served) -> None:
    for path in (USERS, f"{USERS}/1", "/api/labs/state"):
        answer = httpx.get(f"{workspace.address}{path}", headers={"Authorization": f"Bearer {token}"})
        refused(answer, 403, "PERMISSION_DENIED")


def test_unknown_and_deleted_ids_are_not_found(workspace: Served) -> None:
    w = workspace.client()
    gone = w.groups.create(display_name="gone")
    w.groups.delete(gone.id or "")
    for id in (gone.id, "0", "-1", "99999999999999999999999", "x", "a'b", "é", "%00", w.current_user.me().id):
        for method in ("GET", "DELETE", "PUT", "PATCH"):
            body = {"displayName": "x", "Operations": []} if method in ("PUT", "PATCH") else None
            refused(
                workspace.http.request(method, f"{GROUPS}/{id}", json=body), 404, "RESOURCE_DOES_NOT_EXIST"
            )


@pytest.mark.parametrize("query", [{"startIndex": 0}, {"startIndex": "x"}, {"count": -1}, {"count": 10**30}])
def test_a_query_that_is_wrong_is_one_sentence(query: dict[str, object], workspace: Served) -> None:
    answer = workspace.http.get(USERS, params=query)  # type: ignore[arg-type]
    if query == {"count": 10**30}:
        assert answer.status_code == 200
    else:
        assert next(iter(query)) in refused(answer, 400, "INVALID_PARAMETER_VALUE")


def test_a_refusal_leaves_nothing_half_done(workspace: Served) -> None:
    w = workspace.client()
    ben = w.users.create(user_name="ben@example.com")
    answer = workspace.http.post(
        GROUPS, json={"displayName": "team", "members": [{"value": ben.id}, {"value": "99"}]}
    )
    assert "nobody has that id" in refused(answer, 400, "INVALID_PARAMETER_VALUE")
    assert "team" not in {group.display_name for group in w.groups.list()}
    operations = [
        {"op": "replace", "path": "displayName", "value": "New"},
        {"op": "replace", "path": "active", "value": "perhaps"},
    ]
    refused(
        workspace.http.patch(f"{USERS}/{ben.id}", json={"Operations": operations}),
        400,
        "INVALID_PARAMETER_VALUE",
    )
    assert w.users.get(ben.id or "").display_name == "ben@example.com"


def test_a_name_that_holds_what_the_sdk_retries_on_is_refused_at_once(workspace: Served) -> None:
    name = "Unexpected error Please try again later ClusterNotReadyException"
    workspace.client().groups.create(display_name=name)
    before = len(workspace.audit_rows())
    with pytest.raises(DatabricksError, match="already"):
        workspace.client().groups.create(display_name=name)
    assert len(workspace.audit_rows()) - before == 1


def test_a_thousand_requests_at_once_are_all_answered(workspace: Served) -> None:
    def ask(number: int) -> int:
        body = json.dumps({"displayName": f"group {number % 500}"})
        place = urlsplit(workspace.address)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        try:
            connection.request("POST", GROUPS, body, {"Authorization": f"Bearer {workspace.token}"})
            return connection.getresponse().status
        finally:
            connection.close()

    with ThreadPoolExecutor(200) as pool:
        statuses = list(pool.map(ask, range(1000)))
    assert (statuses.count(200), statuses.count(400)) == (500, 500)
    assert len(list(workspace.client().groups.list())) == 502


def test_who_asks_without_end_gets_no_answer_before_its_end(workspace: Served) -> None:
    place = urlsplit(workspace.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    connection.putrequest("POST", GROUPS)
    connection.putheader("Authorization", f"Bearer {workspace.token}")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    connection.send(b'{"displayName": ')
    assert workspace.client().current_user.me().user_name, "others are answered meanwhile"
    connection.close()
    assert {group.display_name for group in workspace.client().groups.list()} == {"admins", "users"}


def test_a_fault_of_the_workspaces_own_is_a_sentence_and_its_log_has_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(ctx: Context, _: Model) -> dict[str, float]:
        store.set_setting(ctx.db, "half", "done")
        return {"share": 1 / 0}

    broken = SimpleNamespace(
        SCHEMA="",
        __name__="broken",
        ENDPOINTS=(
            Endpoint("GET", "/api/2.0/broken/raises", fails),
            Endpoint("GET", "/api/2.0/broken/answers", lambda ctx, _: {"share": float("nan")}),
        ),
    )
    monkeypatch.setattr(app, "SERVICES", (*app.SERVICES, broken))
    for workspace in serve(tmp_path):
        for name, reason in (("raises", "ZeroDivisionError"), ("answers", "ValueError")):
            caplog.clear()
            said = refused(workspace.http.get(f"/api/2.0/broken/{name}"), 500, "INTERNAL_ERROR")
            assert reason in caplog.text and caplog.messages[0].split()[1].rstrip(":") in said
        with pytest.raises(InternalError, match="its log says why"):
            workspace.client().api_client.do("GET", "/api/2.0/broken/raises")
        with workspace.inside.transaction() as ctx:
            assert store.setting(ctx.db, "half") == ""


def test_the_sdk_maps_each_refusal(workspace: Served) -> None:
    with pytest.raises(Unauthenticated):
        client_of(workspace.address, " ").current_user.me()
