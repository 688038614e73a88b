"""The workspace's page, in a real Chromium."""

from __future__ import annotations

import httpx
from databricks.sdk.service.jobs import ConditionTask, ConditionTaskOp, Task
from playwright.sync_api import expect, sync_playwright
from test_browser import SWITCHES, chromium

from workspace.conftest import Served

TRICK = "<img src=x onerror=\"document.title='taken'\"> & co"


def test_people_look_at_a_workspace(workspace: Served) -> None:
    w = workspace.client()
    ana = w.users.create(user_name="ana@example.com", display_name=TRICK.replace('"', "").replace("'", ""))
    workspace.http.patch(
        f"/api/2.0/preview/scim/v2/Users/{ana.id}",
        json={"Operations": [{"op": "replace", "path": "externalId", "value": "x"}]},
    )
    w.groups.create(display_name="analysts")
    w.clusters.create(
        cluster_name="etl", spark_version="16.4.x-scala2.12", node_type_id="m5.large", num_workers=1
    )
    job = w.jobs.create(
        name="nightly",
        tasks=[Task(task_key="a", condition_task=ConditionTask(ConditionTaskOp.EQUAL_TO, "1", "1"))],
    )
    assert job.job_id
    w.jobs.run_now(job.job_id).result()
    w.api_client.do(
        "PATCH",
        "/api/2.1/unity-catalog/permissions/catalog/main",
        body={"changes": [{"principal": "analysts", "add": ["USE_CATALOG"]}]},
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=SWITCHES)
        page = browser.new_page()
        page.goto(workspace.address)
        expect(page.locator("main")).to_contain_text("There is no token")
        page.goto(f"{workspace.address}/page/?token={workspace.token}")
        assert page.url == f"{workspace.address}/page/"
        users = page.get_by_role("region", name="Users")
        expect(users).to_contain_text("ana@example.com")
        expect(users).to_contain_text("<img src=x onerror=document.title=taken>")
        expect(page.get_by_role("region", name="Groups")).to_contain_text("analysts")
        expect(page.get_by_role("region", name="Groups")).to_contain_text("learner@example.com")
        expect(page.get_by_role("region", name="Clusters")).to_contain_text("etl")
        expect(page.get_by_role("region", name="Jobs")).to_contain_text("nightly")
        expect(page.get_by_role("region", name="Runs")).to_contain_text("SUCCESS")
        expect(page.get_by_role("region", name="Grants")).to_contain_text("analysts")
        expect(page.get_by_role("region", name="Permissions")).to_contain_text(f"jobs/{job.job_id}")
        assert page.title() == "Local workspace"
        assert page.locator("img, form, script, button, input").count() == 0
        browser.close()


def test_the_page_is_the_admins_alone(workspace: Served) -> None:
    workspace.client().users.create(user_name="ben@example.com")
    address = f"{workspace.address}/page/"
    assert httpx.get(address).status_code == 401
    assert httpx.get(address, params={"token": "dapi0"}).status_code == 403
    ben = httpx.get(address, headers={"Authorization": f"Bearer {workspace.token_for('ben@example.com')}"})
    assert ben.status_code == 403 and "Only an admin sees" in ben.text
    shown = httpx.get(address, headers={"Authorization": f"Bearer {workspace.token}"})
    assert shown.status_code == 200 and workspace.token not in shown.text


def test_the_pages_cookie_opens_nothing_else(workspace: Served) -> None:
    with httpx.Client(base_url=workspace.address, follow_redirects=True) as browser:
        assert "Users" in browser.get("/page/", params={"token": workspace.token}).text
        assert "Users" in browser.get("/page/").text
        for jar in browser.cookies.jar:
            jar.path = "/"
        assert browser.get("/api/2.0/preview/scim/v2/Me").status_code == 401
