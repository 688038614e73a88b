"""A learner's way through a step, in real JupyterLab and a real Chromium: wrong answer, hint, right answer, restart."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from labs_lib import registry
from tests.drawn import of_module

HERE = Path(__file__).resolve().parent
# A module, and a wrong and a right answer to its first step.
TRIED = [
    ("01_optimization", "1a.1-most-rows-read.py", "1a.1-from-the-rest-interface.py"),
    ("02_patterns", "2a.1-late-records-left-out.py", "2a.1-with-mergeinto.py"),
    ("05_resource_management", "5b.1-granted-to-people.py", "5b.1-grants-on-the-schema.py"),
]
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
# Milliseconds that a machine under load may take: for JupyterLab to draw something, and for all lessons up to a step.
DRAWN, RUN = 60_000, 300_000

# Cells that are far away are not drawn: these go by the notebook's model, as JupyterLab's own commands do.
ACTIVATE = """async name => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.findIndex(cell => cell.model.id === name);
    await window.jupyterapp.commands.execute("notebook:enter-command-mode");
    await notebook.scrollToItem(notebook.activeCellIndex);
}"""
RUN_COUNT = """name => window.jupyterapp.shell.currentWidget.content.widgets
    .find(cell => cell.model.id === name).model.executionCount ?? 0"""
HAS_RUN = """([name, before]) => {
    const {model} = window.jupyterapp.shell.currentWidget.content.widgets.find(cell => cell.model.id === name);
    return model.executionState === "idle" && (model.executionCount ?? 0) > before;
}"""
READY = """name => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const kernel = panel?.sessionContext?.session?.kernel;
    return kernel?.status === "idle" && panel.content.widgets.some(cell => cell.model.id === name);
}"""


class Lab:
    """An open notebook in JupyterLab; cells are named by their ids."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def wait_until_ready(self) -> None:
        """The notebook is drawn and its kernel waits for work."""
        self.page.wait_for_function(READY, arg="setup-1", timeout=DRAWN)

    def cell(self, name: str) -> Locator:
        """A cell, selected and scrolled into view."""
        self.page.evaluate(ACTIVATE, name)
        found = self.page.locator(".jp-Notebook .jp-Cell.jp-mod-active")
        expect(found).to_be_in_viewport(timeout=DRAWN)
        return found

    def write(self, name: str, code: str) -> None:
        """Put this text in place of a cell's own, by keyboard."""
        self.cell(name)
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Escape")

    def run(self, name: str) -> Locator:
        """Run a cell to its end; returns its output area."""
        cell = self.cell(name)
        before = self.page.evaluate(RUN_COUNT, name)
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(HAS_RUN, arg=[name, before], timeout=RUN)
        return cell.locator(".jp-Cell-outputArea")

    def run_all_above(self, name: str, last: str) -> None:
        """Run what stands above a cell, by the menu, until the cell `last` has run."""
        self.cell(name)
        before = self.page.evaluate(RUN_COUNT, last)
        self.menu("Run", "notebook:run-all-above")
        self.page.wait_for_function(HAS_RUN, arg=[last, before], timeout=RUN)

    def restart(self, name: str) -> None:
        """Restart the kernel and clear all outputs, by the menu; `name` is a cell that has run."""
        self.menu("Kernel", "kernelmenu:restart-and-clear")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_function(f"name => ({RUN_COUNT})(name) === 0", arg=name, timeout=DRAWN)
        self.wait_until_ready()

    def menu(self, title: str, command: str) -> None:
        """Choose an entry of the menu bar."""
        self.page.get_by_role("menuitem", name=title, exact=True).click()
        self.page.locator(f".lm-Menu-item[data-command='{command}']").click()


def chromium() -> str:
    """The system's Chromium. Skips the test if there is none."""
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    path = next(filter(None, found), None)
    if path is None:
        pytest.skip("no Chromium on this machine; `apt-get install chromium` installs one")
    return path


@pytest.fixture
def jupyterlab(own_home: Path, tmp_path: Path) -> Iterator[str]:
    """JupyterLab as `labs lab` starts it on a fresh copy of the modules; yields its address."""
    chromium()
    folders = {
        f"JUPYTER_{part}_DIR": str(tmp_path / "jupyter" / part) for part in ("CONFIG", "DATA", "RUNTIME")
    }
    config = Path(folders["JUPYTER_CONFIG_DIR"])
    notices = config / "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    notices.parent.mkdir(parents=True)
    notices.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    (config / "jupyter_lab_config.json").write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))
    unwanted = {
        "SPARK_REMOTE",
        "JAVA_HOME",
        "LABS_WORKSPACE",
        "LABS_EXPECTED",
        "JUPYTER_TOKEN",
        "JUPYTER_PORT",
    }
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    environment |= {"LABS_HOME": str(own_home), "IPYTHONDIR": str(tmp_path / "ipython"), **folders}
    server = subprocess.Popen(
        [sys.executable, "-m", "labs_lib.cli", "lab", "--no-browser", "--folder", str(tmp_path / "work")],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    log: list[str] = []
    address: queue.Queue[str] = queue.Queue()

    def follow() -> None:
        assert server.stdout is not None
        for line in server.stdout:
            log.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/lab\?token=\w+", line):
                address.put(found[0])
        address.put("")  # it has ended

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        url = address.get(timeout=120)
        assert url, "".join(log)
        yield url
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        follower.join(30)  # JupyterLab ends its kernels first


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Chromium, with a profile of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=chromium(),
            args=SWITCHES,
            viewport={"width": 1400, "height": 1000},
        )
        opened = browser.pages[0] if browser.pages else browser.new_page()
        opened.set_default_timeout(DRAWN)
        yield opened
        browser.close()


def code_cells(notebook: str) -> list[str]:
    """The ids of a notebook's code cells, from its first to its last."""
    found = json.loads((HERE.parent / "modules" / notebook).read_text())["cells"]
    return [str(cell["id"]) for cell in found if cell["cell_type"] == "code"]


def text_of(kind: str, module: str, name: str, answer: str) -> str:
    """An answer of known worth as a cell; SOLUTION in it is the solution's own text."""
    cells = json.loads((HERE.parent / "solutions" / module / f"{module}.ipynb").read_text())["cells"]
    solution = "".join(next(cell["source"] for cell in cells if cell["id"] == answer))
    return f"SOLUTION = {solution!r}\n{(HERE / kind / module / name).read_text()}"


@pytest.mark.parametrize(("module", "wrong", "right"), [of_module(*each) for each in TRIED])
def test_a_learner_gets_hints_turns_a_card_and_keeps_progress(
    module: str, wrong: str, right: str, jupyterlab: str, page: Page
) -> None:
    notebook = f"{module}/{module}.ipynb"
    cells = code_cells(notebook)
    step, after = list(registry.steps(registry.module(module)))[:2]
    answer, check = (f"{kind}-{step.id.replace('.', '-')}" for kind in ("answer", "check"))
    page.goto(jupyterlab.replace("/lab?", f"/lab/tree/{notebook}?"))
    lab = Lab(page)
    lab.wait_until_ready()
    lab.run_all_above(answer, last=cells[cells.index(answer) - 1])

    lab.write(answer, text_of("wrong_answers", module, wrong, answer))
    lab.run(answer)
    card = lab.run(check).locator(".labs-card")
    expect(card).to_contain_text(step.title)
    expect(card).to_contain_text(re.compile("Not yet|Partly"))
    first, second, third = (card.get_by_text(f"Hint {number} of {len(step.hints)}") for number in (1, 2, 3))
    expect(first).to_be_visible()
    expect(second).to_be_hidden()
    first.click()
    expect(card.get_by_text(step.hints[0].replace("`", ""))).to_be_visible()
    expect(second).to_be_visible()
    expect(third).to_be_hidden()

    lab.write(answer, text_of("right_answers", module, right, answer))
    lab.run(answer)
    card = lab.run(check).locator(".labs-card")
    expect(card).to_contain_text("Solved")
    expect(card).to_contain_text(f"{step.points} of {step.points} points")
    expect(card.get_by_text("Hint")).to_have_count(0)

    lab.restart(check)
    expect(card).to_have_count(0)
    for name in ("parameters", "setup-1"):
        lab.run(name)
    shown = lab.run(cells[-1]).locator(".labs-progress")
    expect(shown.get_by_title(f"{step.id} {step.title}: Solved")).to_be_visible()
    expect(shown.get_by_title(f"{after.id} {after.title}: Not tried")).to_be_visible()
