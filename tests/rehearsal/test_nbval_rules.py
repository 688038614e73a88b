"""What a replay compares and what it leaves out: a committed number that changes is red, a duration is not."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbformat import NotebookNode
from nbval.plugin import get_sanitize_patterns
from tiny_course import REPOSITORY

from grader.rehearsal.execute import environment
from grader.rehearsal.nbval_plugin import EVENT
from grader.rehearsal.replay import SANITIZE_FILE, command, sentence
from labs_lib.engine import first_rows

VERDICT = """\
class Verdict:
    def _repr_mimebundle_(self, include=None, exclude=None):
        raw = {"step": "1a.1", "points": 2, "max_points": 2, "status": "pass", "seconds": time.time()}
        raw["findings"] = [{"name": "rows", "ok": True, "expected": "1200", "found": "1200"}]
        card = f"<div><b>2 of 2 points</b> in {time.perf_counter():.2f} s</div>"
        return {"text/plain": "2.0", "text/html": card, "application/vnd.labs.verdict+json": raw}

Verdict()"""

# Each code cell of the notebook, by name.
CELLS = {
    "imports": "import base64, os, random, socket, time, uuid, datetime\nfrom IPython.display import HTML, display",
    "stream": 'print("rows: 1200, files: 7")',
    "result": "42 * 3",
    "plot": "noise = base64.b64encode(os.urandom(90)).decode()\n"
    'display({"image/png": noise, "text/plain": "bars: a 3, b 5"}, raw=True)',
    "card": 'HTML(f"<b>7 files</b> read in {random.random():.2f} s")',
    "verdict": VERDICT,
    "points": VERDICT,
    "first rows": "HTML(f'{}{{random.random()}}</div>')".format(first_rows.MARK.replace('"', '\\"')),
    "volatile": "\n".join(
        [
            'print(f"took {random.uniform(1, 9):.2f} s, then {random.randrange(10, 900)} ms")',
            'print(f"see http://127.0.0.1:{random.randrange(2000, 9000)}/jobs/job/?id={random.randrange(99)}")',
            "print(uuid.uuid4(), datetime.datetime.now().isoformat(), object())",
            'print("in", os.environ["LABS_WORKSPACE"], "or", f"/tmp/t{random.random()}")',
            'print(f"stage {random.randrange(999)} of job {random.randrange(999)}")',
        ]
    ),
}
CHANGED = {
    "stream": ("rows: 1200", "rows: 1201"),
    "result": ("126", "127"),
    "plot": ("b 5", "b 6"),
    "card": ("7 files", "8 files"),
    "verdict": ('"max_points": 2, "points": 2', '"max_points": 2, "points": 1'),
    "points": ('"2.0"', '"1.0"'),
}


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The notebook with the outputs of a run of its own."""
    folder = tmp_path_factory.mktemp("committed")
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()])
    nb.metadata = NotebookNode(
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"}
    )
    nbformat.write(nb, folder / "in.ipynb")
    options: dict[str, Any] = {"workspace": folder, "on_start": lambda **_: None, "on_done": lambda **_: None}
    return papermill.execute_notebook(
        folder / "in.ipynb", folder / "out.ipynb", engine_name="labs", progress_bar=False, **options
    )


def replayed(nb: NotebookNode, folder: Path) -> dict[str, str]:
    """Replay a notebook as `grader check` does; return the sentence about each cell, "" if it agrees."""
    nbformat.write(nb, folder / "replayed.ipynb")
    call = command(REPOSITORY, folder / "replayed.ipynb", folder)
    env = {**environment(folder), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    lines = [line.removeprefix(EVENT) for line in done.stdout.splitlines() if line.startswith(EVENT)]
    events = [event for event in map(json.loads, lines) if "ok" in event]
    assert len(events) == len(CELLS), done.stdout + done.stderr
    names = list(CELLS)
    return {names[event["cell"]]: "" if event["ok"] else sentence(event["detail"]) for event in events}


def test_a_committed_notebook_replays_though_its_times_ids_and_paths_differ(
    committed: NotebookNode, tmp_path: Path
) -> None:
    found = replayed(committed, tmp_path)
    assert found == dict.fromkeys(CELLS, "")


def test_each_changed_number_is_red_and_named(committed: NotebookNode, tmp_path: Path) -> None:
    nb = nbformat.from_dict(committed)
    for name, (old, new) in CHANGED.items():
        cell = nb.cells[list(CELLS).index(name)]
        text = json.dumps(cell.outputs, sort_keys=True)
        assert text.count(old) == 1, (name, text)
        cell.outputs = [nbformat.from_dict(each) for each in json.loads(text.replace(old, new))]
    found = replayed(nb, tmp_path)
    assert {name for name in found if found[name]} == set(CHANGED)
    assert "the stdout output differs" in found["stream"] and "1201" in found["stream"]
    assert "the text/plain output differs" in found["plot"] and "b 6" in found["plot"]
    assert "vnd.labs.verdict+json output differs" in found["verdict"]


SAME = [
    ("in 1.2 s", "in 30.44 s"),
    ("in 3 s", "in 12 s"),
    ("(0.04s)", "(1.10s)"),
    ("345 ms", "7.5ms"),
    ("http://127.0.0.1:4040/jobs/?id=3", "http://localhost:4041/jobs/?id=77"),
    ("stage 12 (job 7)", "stage 3 (job 1)"),
    ("{'stage': 12}", "{'stage': 4}"),
    ("stage_id=12.0", "stage_id=3.1"),
    ("local-1718000000000", "local-1719999999999"),
    ("/tmp/labs-abc/warehouse/t", "/var/folders/x1/T/labs-9/warehouse/t"),
    ("file:/tmp/a-1/part-000.parquet", "file:/tmp/b/part-001.parquet"),
    ("2026-03-01T12:00:00.123Z", "2027-11-30 01:02:03"),
    ("price#123L >= 5", "price#7L >= 5"),
    ("Exchange hashpartitioning(k#1, 4), [plan_id=45]", "Exchange hashpartitioning(k#2, 4), [plan_id=9]"),
    ("3.4 times faster", "2x faster"),
    ("<object at 0x7f00aa11bb22>", "<object at 0x7f99aa11bb22>"),
]
DIFFERENT = [
    ("1200 rows", "1201 rows"),
    ("12 stages", "13 stages"),
    ("stages 4", "stages 5"),
    ("2.0", "1.0"),
    ("30 days", "31 days"),
    ("1990s", "1980s"),
    ("12\nsales", "13\nsales"),
    ("2017-03-01 12:00:00", "2017-03-02 12:00:00"),
    ("168 hours", "24 hours"),
    ("1048576 bytes", "1048577 bytes"),
    ("/tmp/a, 5 files", "/tmp/a, 6 files"),
    ("hashpartitioning(k#1, 4)", "hashpartitioning(k#1, 5)"),
    ("item #12", "item #13"),
    ("12 min", "13 min"),
    ("in 2 steps", "in 3 steps"),
    ("64 MB", "32 MB"),
    ("2 times as many", "3 times as many"),
    ("cat: 1.5, dog: 2", "cat: 1.6, dog: 2"),
]


def sanitized(text: str) -> str:
    for pattern, replacement in get_sanitize_patterns(
        (REPOSITORY / SANITIZE_FILE).read_text(encoding="utf-8")
    ):
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(("one", "other"), SAME)
def test_volatile_figures_are_alike(one: str, other: str) -> None:
    assert sanitized(one) == sanitized(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_content_is_never_masked(one: str, other: str) -> None:
    assert sanitized(one) != sanitized(other)
