"""Building: what nbgrader sees, what learners get, and the drift gate that watches both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import tiny_course
from jupytext.sync_contentsmanager import TextFileContentsManager
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from tiny_course import NAME, edit, edit_json

from grader.course import build, drift, paths
from grader.course.notebook import dumps, read
from grader.rehearsal.run import build_module
from labs_lib.errors import LabsError

VERSION = "9.9.9"


def nbgrader(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What an instructor types, in a shell that knows nothing of the environment's other commands."""
    env = {**os.environ, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=300)


def by_id(nb: NotebookNode) -> dict[str, NotebookNode]:
    return {cell.id: cell for cell in nb.cells}


def test_the_instructor_notebook_carries_nbgraders_metadata_and_no_versions(tmp_path: Path) -> None:
    module = tiny_course.make(tmp_path)
    nb = read(paths.solution_file(tmp_path, NAME))
    cells = by_id(nb)
    base = {"schema_version": 3, "task": False}
    closed = {"grade": False, "solution": False, "locked": True}
    assert cells["parameters"].metadata.nbgrader == {**base, **closed, "grade_id": "parameters"}
    assert cells["setup-1"].metadata.nbgrader == {**base, **closed, "grade_id": "setup-1"}
    assert cells["answer-1a-2"].metadata == {
        "tags": ["answer:1a.2"],
        "nbgrader": {**base, "grade": False, "solution": True, "locked": False, "grade_id": "answer-1a-2"},
    }
    points = module.exercises[0].steps[1].points
    assert cells["check-1a-2"].metadata.nbgrader == {
        **base,
        **{"grade": True, "solution": False, "locked": True, "grade_id": "check-1a-2", "points": points},
    }
    assert nb.metadata.keys() == {"jupytext", "kernelspec"}
    assert not re.search(r"\d+\.\d+", json.dumps(nb.metadata))
    again = build.build_solution(paths.source_file(tmp_path, NAME).read_text(encoding="utf-8"), module)
    assert dumps(again) == dumps(nb)


def test_the_learner_notebook_is_clean_and_the_same_whoever_saved_and_generated_it(tmp_path: Path) -> None:
    tiny_course.finished(tmp_path)
    path = paths.learner_file(tmp_path, NAME)
    ours = path.read_bytes()
    learner = read(path)
    assert learner.metadata.keys() == {"kernelspec"}
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in learner.cells)
    answer = by_id(learner)["answer-1a-3"].source
    assert answer == "# Put your sum into answer_3.\n# YOUR CODE HERE"
    assert by_id(learner)["check-1a-3"].metadata.editable is False
    # JupyterLab and papermill leave such things behind.
    solution = paths.solution_file(tmp_path, NAME)
    nb = read(solution)
    nb.metadata.update(language_info={"name": "python", "version": VERSION}, papermill={"version": VERSION})
    nb.cells[3].metadata.update(execution={"shell.execute_reply": VERSION}, collapsed=True)
    nbformat.write(nb, solution)
    done = nbgrader(tmp_path, "generate_assignment", NAME, "--force")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == ours


def test_a_rebuild_keeps_the_outputs_of_cells_that_did_not_change(tmp_path: Path) -> None:
    module = tiny_course.finished(tmp_path)
    before = read(paths.solution_file(tmp_path, NAME))
    edit(paths.source_file(tmp_path, NAME), "answer_2 = 2 + SEED", "answer_2 = SEED + 2")
    build.write_solution(tmp_path, module)
    after = read(paths.solution_file(tmp_path, NAME))
    changed = [new.id for old, new in zip(before.cells, after.cells, strict=True) if old != new]
    assert changed == ["answer-1a-2"]
    assert by_id(after)["check-1a-2"].outputs == by_id(before)["check-1a-2"].outputs != []
    assert by_id(after)["answer-1a-2"].execution_count is None


def test_outputs_name_no_temporary_folder(tmp_path: Path) -> None:
    module = tiny_course.make(tmp_path)
    workspace = tmp_path / "a-workspace"
    nb = read(paths.solution_file(tmp_path, NAME))
    nb.cells[3].outputs = [nbformat.v4.new_output("stream", text=f"written to {workspace}/t\n")]
    build.store_outputs(tmp_path, module, nb, workspace)
    stored = read(paths.solution_file(tmp_path, NAME)).cells[3].outputs
    assert stored[0].text == "written to /tmp/labs-workspace/t\n"


def test_a_check_runs_demos_in_the_replay_alone(tmp_path: Path) -> None:
    module = tiny_course.finished(tmp_path)
    before = '# %%\nprint("rows:", 40 + 2)'
    demo = '# %% tags=["demo"]\nassert SEED == 0\nprint("rows:", 40 + 2)'
    edit(paths.source_file(tmp_path, NAME), before, demo)
    listener = tiny_course.Silent()
    assert build_module(tmp_path, module, execute=True, listener=listener) == []
    fresh, replayed = tiny_course.checked(tmp_path, module)
    assert (fresh.seed, fresh.failures, len(fresh.steps)) == (7, (), 5)
    assert replayed.ok
    solution = paths.solution_file(tmp_path, NAME)
    edit_json(solution, "rows: 42\n", "rows: 43\n")
    fresh, replayed = tiny_course.checked(tmp_path, module)
    assert fresh.ok and not replayed.ok


def test_a_failed_generation_leaves_the_old_learner_notebook(tmp_path: Path) -> None:
    tiny_course.finished(tmp_path)
    before = paths.learner_file(tmp_path, NAME).read_bytes()
    solution = paths.solution_file(tmp_path, NAME)
    edit_json(solution, "answer_2 = 2 + SEED\n", "answer_2 = 2 + SEED\n### BEGIN SOLUTION\n")
    with pytest.raises(LabsError, match="nbgrader could not generate 01_tiny"):
        build.generate(tmp_path, NAME)
    assert paths.learner_file(tmp_path, NAME).read_bytes() == before


ANSWER_4 = (
    '# %% tags=["answer:1a.4"]\n# Put your sum into answer_4.\n### BEGIN SOLUTION\nanswer_4 = 4 + SEED\n'
)
CHECK_4 = '# %% tags=["check:1a.4"]\ncheck("1a.4")\n'
WRONG_SOURCES = {
    "no check": (CHECK_4, "", "Step 1a.4 has 0 check cells"),
    "two checks": (CHECK_4, CHECK_4 * 2, "Step 1a.4 has 2 check cells"),
    "unknown step": (
        'tags=["answer:1a.4"]',
        'tags=["answer:1a.9"]',
        "tagged answer:1a.9, but 01_tiny has no step 1a.9",
    ),
    "swapped": (
        'tags=["check:1a.4"]\ncheck("1a.4")',
        'tags=["check:1a.5"]\ncheck("1a.5")',
        "1a.5 has 2 check cells",
    ),
    "altered check": ('check("1a.4")', 'check("1a.4", 2)', 'must be exactly check("1a.4")'),
    "no region": (
        "### BEGIN SOLUTION\nanswer_4 = 4 + SEED\n### END SOLUTION",
        "answer_4 = 1",
        "answer cell of 1a.4 needs",
    ),
    "open region": ("answer_4 = 4 + SEED\n### END SOLUTION", "answer_4 = 1", "answer cell of 1a.4 needs"),
    "region outside": (
        "print(",
        "### BEGIN SOLUTION\nprint(",
        "Cell 4 has a solution mark but no answer tag",
    ),
    "misspelt tag": ('tags=["setup"]', 'tags=["set-up"]', "Cell 2 has the tag 'set-up'"),
    "no parameters": (' tags=["parameters"]', "", 'exactly one cell tagged "parameters"'),
    "check first": (ANSWER_4, CHECK_4 + "\n" + ANSWER_4.replace("4", "4"), "Step 1a.4 has 2 check cells"),
}


@pytest.mark.parametrize("name", WRONG_SOURCES)
def test_a_source_that_departs_from_the_registry_is_refused(name: str, tmp_path: Path) -> None:
    module = tiny_course.make(tmp_path)
    old, new, message = WRONG_SOURCES[name]
    text = paths.source_file(tmp_path, NAME).read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(LabsError, match=re.escape(message)):
        build.build_solution(text.replace(old, new, 1), module)


def test_steps_out_of_order_are_refused(tmp_path: Path) -> None:
    module = tiny_course.make(tmp_path)
    text = paths.source_file(tmp_path, NAME).read_text(encoding="utf-8")
    swapped = (
        text.replace(":1a.4", ":1a.X")
        .replace('"1a.4"', '"1a.X"')
        .replace("1a.5", "1a.4")
        .replace("1a.X", "1a.5")
    )
    with pytest.raises(LabsError, match="out of order"):
        build.build_solution(swapped, module)


def test_a_save_in_jupyterlab_keeps_both_files_in_step(tmp_path: Path) -> None:
    module = tiny_course.finished(tmp_path)
    source = paths.source_file(tmp_path, NAME)
    before = source.read_text(encoding="utf-8")
    manager = TextFileContentsManager(root_dir=str(tmp_path))
    path = f"solutions/{NAME}/{NAME}.ipynb"
    manager.save(manager.get(path), path)
    assert source.read_text(encoding="utf-8") == before
    model = manager.get(path)
    model["content"].metadata.language_info = {"name": "python", "version": VERSION}
    lesson = next(cell for cell in model["content"].cells if "Sums add up." in cell.source)
    lesson.source = lesson.source.replace("Sums add up.", "Sums are commutative.")
    manager.save(model, path)
    assert source.read_text(encoding="utf-8") == before.replace("Sums add up.", "Sums are commutative.")
    build.write_solution(tmp_path, module)
    assert VERSION not in paths.solution_file(tmp_path, NAME).read_text(encoding="utf-8")


def test_no_drift_right_after_a_build_and_nothing_is_changed_by_looking(tmp_path: Path) -> None:
    tiny_course.finished(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert drift.drift(tmp_path) == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_drift_names_every_difference(tmp_path: Path) -> None:
    tiny_course.finished(tmp_path)
    solution, learner = paths.solution_file(tmp_path, NAME), paths.learner_file(tmp_path, NAME)
    edit_json(solution, "answer_2 = 2 + SEED", "answer_2 = SEED + 2")
    edit(
        solution,
        '"grade_id": "answer-1a-3",\n     "locked": false',
        '"grade_id": "answer-1a-3",\n     "locked": true',
    )
    edit_json(solution, "rows: 42", "rows: 43")  # an output: the replay's work
    edit_json(learner, "Put your sum into answer_5.", "Put answer_5 = 5 + SEED.")
    for stray in ("solutions/notes.txt", "modules/02_later/02_later.ipynb", f"solutions/{NAME}/data.csv"):
        (tmp_path / stray).parent.mkdir(exist_ok=True)
        (tmp_path / stray).write_text("x", encoding="utf-8")
    found = drift.drift(tmp_path)
    wanted = [
        "solutions/01_tiny/data.csv belongs to no written module",
        "solutions/notes.txt belongs to no written module",
        "modules/02_later/02_later.ipynb belongs to no written module",
        "step 1a.2 (Add 2): source in solutions/01_tiny/01_tiny.ipynb differs",
        "step 1a.3 (Add 3): metadata in solutions/01_tiny/01_tiny.ipynb differs",
        "modules/01_tiny/01_tiny.ipynb is not what nbgrader generates",
        "modules/01_tiny/01_tiny.ipynb shows a line of the solution: answer_5 = 5 + SEED",
    ]
    assert len(found) == len(wanted), found
    for sentence, part in zip(found, wanted, strict=True):
        assert part in sentence


def _digest_in_learner(root: Path) -> None:
    digest = json.loads(paths.expected_file(root, NAME).read_text(encoding="utf-8"))["1a.1"]["answer_1"]
    edit_json(paths.learner_file(root, NAME), "Sums add up.", digest)


def _output_in_learner(root: Path) -> None:
    nb = read(paths.learner_file(root, NAME))
    nb.cells[3].outputs = [nbformat.v4.new_output("stream", text="42\n")]
    nbformat.write(nb, paths.learner_file(root, NAME))


def _without_digest(root: Path) -> None:
    path = paths.expected_file(root, NAME)
    stored = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({"9z.1": stored.pop("1a.1"), **stored}), encoding="utf-8")


def _bare_plot(root: Path) -> None:
    nb = read(paths.solution_file(root, NAME))
    data = {"image/png": "aGk=", "text/plain": "<Figure size 640x480 with 1 Axes>"}
    nb.cells[3].outputs = [nbformat.v4.new_output("display_data", data=data)]
    nbformat.write(nb, paths.solution_file(root, NAME))


def _partial_marks(root: Path) -> None:
    nb = read(paths.solution_file(root, NAME))
    data = by_id(nb)["check-1a-4"].outputs[0].data
    data["application/vnd.labs.verdict+json"]["points"], data["text/plain"] = 1, "1.0"
    nbformat.write(nb, paths.solution_file(root, NAME))


def _never_run(root: Path) -> None:
    build.replace(
        paths.solution_file(root, NAME),
        dumps(build.build_solution(tiny_course.source_text(), _module(root))),
    )


def _module(root: Path) -> build.Module:
    return paths.chosen(root, NAME)[0]


COMMITTED_WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "digest in learner notebook": (_digest_in_learner, "holds the expected digest of answer_1 in step 1a.1"),
    "output in learner notebook": (_output_in_learner, "has outputs; learners start from none"),
    "no digest": (_without_digest, "has no digest of answer_1 in 1a.1"),
    "digest of no step": (_without_digest, "has digests for 9z.1, which is no written step"),
    "plot without summary": (_bare_plot, "the plot has no text summary"),
    "partial marks stored": (_partial_marks, "step 1a.4 (Add 4): 1 of 2 points"),
    "never run": (_never_run, "step 1a.1 (Add 1): the cell was never executed"),
}


@pytest.mark.parametrize("name", COMMITTED_WRONG)
def test_what_is_committed_is_looked_at(name: str, tmp_path: Path) -> None:
    module = tiny_course.finished(tmp_path)
    fresh = build.build_solution(paths.source_file(tmp_path, NAME).read_text(encoding="utf-8"), module)

    def found() -> list[str]:
        learner = read(paths.learner_file(tmp_path, NAME))
        return [
            *drift.output_problems(read(paths.solution_file(tmp_path, NAME)), module),
            *drift.leaks(tmp_path, module, learner, fresh),
            *drift.expected_problems(tmp_path, module),
        ]

    assert found() == []
    spoil, message = COMMITTED_WRONG[name]
    spoil(tmp_path)
    assert any(message in sentence for sentence in found()), found()


def test_autograde_takes_points_from_verdicts_and_from_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_course.finished(tmp_path)
    noise = "print('a warning', file=sys.stderr)"
    answers = {
        "full": [f"answer_{n} = {n} + SEED" for n in range(1, 6)],
        "partial": ["answer_1 = 1", "answer_2 = 7", "", "answer_4 = 4", "answer_5 = 5"],
        "noisy": [f"get_ipython().events.register('post_execute', lambda: {noise})\nanswer_1 = 1", *[""] * 4],
        "mute": ["check = lambda step: None", *[""] * 4],
        "untouched": [""] * 5,
    }
    for student, lines in answers.items():
        nb = read(paths.learner_file(tmp_path, NAME))
        for number, line in enumerate(lines, start=1):
            by_id(nb)[f"answer-1a-{number}"].source += f"\n{line}"
        path = tmp_path / "submitted" / student / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(nb, path)
    os.environ.setdefault("LABS_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("LABS_GRADE_TRUSTING", "1")  # the tiny course has no checks for the judge
    assert nbgrader(tmp_path, "generate_assignment", NAME, "--force").returncode == 0
    done = nbgrader(tmp_path, "autograde", NAME)
    assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as gradebook:
        scores = {student: gradebook.find_submission(NAME, student).score for student in answers}
    assert scores == {"full": 10, "partial": 7, "noisy": 2, "mute": 0, "untouched": 0}
