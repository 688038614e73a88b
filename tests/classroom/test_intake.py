"""Whatever was handed in is a notebook that can be graded, or gets one sentence that says why not."""

from __future__ import annotations

import copy
import json
import os
import random
import re
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import malformed
import nbformat
import pytest
from malformed import changed, with_text, with_value
from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator

from grader.classroom import intake
from grader.course.build import KERNELSPEC
from grader.course.notebook import read, role_of
from grader.vetting import Rejected

MODULE = "01_optimization"
GOOD = malformed.LEARNER_NOTEBOOK.read_bytes()
RELEASED = read(malformed.LEARNER_NOTEBOOK)
NBGRADER = MetadataValidator()
Spoil = Callable[[bytes], bytes]


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    """Where ada's notebook goes; the boundary is two folders up."""
    path = tmp_path / "submitted" / "ada" / MODULE / f"{MODULE}.ipynb"
    path.parent.mkdir(parents=True)
    return path


def taken(path: Path, data: bytes | None = None) -> tuple[NotebookNode, tuple[str, ...]]:
    """The notebook and all notes, after a look at what is true of every notebook that is let in."""
    if data is not None:
        path.write_bytes(data)
    nb, notes = intake.examine(path, RELEASED, path.parents[2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nbformat mends ids with a warning
        nbformat.validate(nb)
    assert nb.metadata == {"kernelspec": KERNELSPEC} and nb.keys() == {
        "cells",
        "metadata",
        "nbformat",
        "nbformat_minor",
    }
    for cell in nb.cells:
        code = {"outputs", "execution_count"} if cell.cell_type == "code" else set()
        assert cell.keys() == {"id", "cell_type", "source", "metadata"} | code
        assert cell.metadata.keys() <= {"nbgrader", "tags"} and not cell.get("outputs")
        assert "\r" not in cell.source
        assert "nbgrader" in cell.metadata or not role_of(cell).kind
        NBGRADER.validate_cell(
            NotebookNode(cell | {"cell_type": "code"})
        )  # as its type is put back in grading
    assert nbformat.reads(nbformat.writes(nb), as_version=4) == nb
    assert all(is_a_sentence(note) for note in notes)
    return nb, notes


def is_a_sentence(text: str) -> bool:
    return (
        text.isprintable()
        and len(text) < 350
        and text[-1] in ".\N{HORIZONTAL ELLIPSIS}"
        and text == text.strip()
    )


def refusal(path: Path, data: bytes | None = None) -> str:
    with pytest.raises(Rejected) as refused:
        taken(path, data)
    assert is_a_sentence(str(refused.value)), str(refused.value)
    return str(refused.value)


# What can't be graded


@pytest.mark.parametrize("name", malformed.CASES)
def test_a_malformed_file_is_refused_with_what_is_wrong_and_where(handed_in: Path, name: str) -> None:
    spoil, said = malformed.CASES[name]
    sentence = refusal(handed_in, spoil(GOOD))
    assert f"{MODULE}.ipynb" in sentence and ": ask for " in sentence
    assert re.search(said, sentence), sentence


def test_the_malformed_files_are_many_and_none_is_the_good_one() -> None:
    files = malformed.files()
    assert len(files) >= 35
    assert len(set(files.values())) == len(files) and GOOD not in files.values()


def link_to_the_file(path: Path) -> None:
    path.symlink_to(malformed.LEARNER_NOTEBOOK)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def link_to_the_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(malformed.LEARNER_NOTEBOOK.parent)


def link_to_the_students_folder(path: Path) -> None:
    other = path.parents[2] / "eve" / MODULE
    other.mkdir(parents=True)
    (other / path.name).write_bytes(GOOD)
    path.parent.rmdir()
    path.parents[1].rmdir()
    path.parents[1].symlink_to("eve")


def hard_link(path: Path) -> None:
    (path.parents[2] / "eve.ipynb").write_bytes(GOOD)
    os.link(path.parents[2] / "eve.ipynb", path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def file_for_a_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_bytes(GOOD)


def nothing(path: Path) -> None:
    pass


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (link_to_the_file, f"ada/{MODULE}/{MODULE}.ipynb is a symbolic link: put the notebook itself there."),
        (link_to_nothing, f"ada/{MODULE}/{MODULE}.ipynb is a symbolic link"),
        (link_to_the_folder, f"ada/{MODULE} is a symbolic link"),
        (link_to_the_students_folder, "ada is a symbolic link"),
        (hard_link, f"ada/{MODULE}/{MODULE}.ipynb has 2 names (hard links): put a copy there."),
        (fifo, f"ada/{MODULE}/{MODULE}.ipynb is a FIFO"),
        (folder, f"ada/{MODULE}/{MODULE}.ipynb is a folder where a file was"),
        (file_for_a_folder, f"ada/{MODULE} is a file where a folder was"),
        (nothing, f"ada/{MODULE}/{MODULE}.ipynb can't be read: No such file or directory."),
        (too_large, f"ada/{MODULE}/{MODULE}.ipynb is larger than 64 MiB"),
    ],
)
def test_what_is_no_file_of_the_learners_own_is_refused(
    handed_in: Path, make: Callable[[Path], None], said: str
) -> None:
    make(handed_in)
    assert refusal(handed_in).startswith(said)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_refused(handed_in: Path) -> None:
    try:
        os.mknod(handed_in, 0o20666, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("this container can't make devices")
    assert "is a device" in refusal(handed_in)


def test_a_path_outside_the_boundary_is_refused(handed_in: Path) -> None:
    handed_in.write_bytes(GOOD)
    for path in (handed_in.parents[3] / "x.ipynb", handed_in.parents[1] / ".." / ".." / "x.ipynb"):
        with pytest.raises(Rejected, match="is not inside"):
            intake.read(path, RELEASED, handed_in.parents[2])


def test_a_folder_with_a_hostile_name_stays_on_one_line(handed_in: Path) -> None:
    evil = handed_in.parents[2] / ("evil\n\u202e\x1b[2J" + "x" * 200) / MODULE / handed_in.name
    assert refusal(evil).startswith("evil\N{REPLACEMENT CHARACTER}")
    evil.parent.mkdir(parents=True)
    assert f"{MODULE}.ipynb is empty" in refusal(evil, b"")


def test_the_boundary_itself_may_be_a_link(handed_in: Path, tmp_path: Path) -> None:
    handed_in.write_bytes(GOOD)
    (tmp_path / "link").symlink_to(tmp_path / "submitted")
    taken(tmp_path / "link" / handed_in.relative_to(tmp_path / "submitted"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (link_to_the_file, f"{MODULE}.ipynb can't be opened: Too many levels of symbolic links."),
        (fifo, f"{MODULE}.ipynb is a FIFO"),
        (link_to_the_folder, f"ada/{MODULE} can't be opened: Not a directory."),
    ],
)
def test_a_file_swapped_after_the_look_at_it_is_still_refused(
    handed_in: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], said: str
) -> None:
    make(handed_in)
    look = os.stat

    def blind(path: Any, **how: Any) -> os.stat_result:
        good = malformed.LEARNER_NOTEBOOK
        honest = {handed_in.name: good, MODULE: good.parent}
        return look(honest[path]) if path in honest else look(path, **how)

    monkeypatch.setattr(os, "stat", blind)
    assert said in refusal(handed_in)


def test_a_file_swapped_for_links_while_it_is_read_never_leaks(handed_in: Path, tmp_path: Path) -> None:
    secret, scratch, stop = tmp_path / "secret", tmp_path / "scratch", threading.Event()
    secret.write_bytes(with_text("SEED", "SECRET")(GOOD))
    handed_in.write_bytes(GOOD)

    def swap() -> None:
        while not stop.is_set():
            scratch.symlink_to(secret)
            scratch.rename(handed_in)
            scratch.write_bytes(GOOD)
            scratch.rename(handed_in)

    attacker = threading.Thread(target=swap)
    attacker.start()
    outcomes = []
    try:
        while len(outcomes) < 50 or (len(set(outcomes)) < 2 and len(outcomes) < 5_000):
            try:
                assert b"SECRET" not in intake.content(handed_in, handed_in.parents[2])
                outcomes.append("read")
            except Rejected:
                outcomes.append("refused")
    finally:
        stop.set()
        attacker.join()
    assert set(outcomes) == {"read", "refused"}


# What is odd and graded


def essence(cell: NotebookNode) -> tuple[Any, ...]:
    """What stays of a cell; the course's tags do on cells that nbgrader knows."""
    known = {key: cell.metadata[key] for key in ("nbgrader", "tags")} if "nbgrader" in cell.metadata else {}
    return cell.id, cell.cell_type, cell.source, known


def each_cell(edit: Callable[[dict[str, Any]], Any], **more: Any) -> Spoil:
    """A function that edits every cell of a notebook and sets some values of the notebook itself."""

    def spoil(good: bytes) -> bytes:
        raw = json.loads(good)
        for cell in raw["cells"]:
            edit(cell)
        return json.dumps(raw | more).encode()

    return spoil


def course_cell(name: str, **values: Any) -> Spoil:
    """A function that sets values of the cell of that id."""
    return each_cell(lambda cell: cell.update(values) if cell["id"] == name else None)


def grading(name: str, value: Any, **more: Any) -> Spoil:
    """A function that sets nbgrader's metadata of the cell of that id."""
    return course_cell(name, metadata={"nbgrader": value}, **more)


def more_cells(*extra: dict[str, Any], at: int = 40) -> Spoil:
    return changed("cells", to=lambda cells: [*cells[:at], *extra, *cells[at:]])


def code(source: Any = "x = 1", **values: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": 1,
    } | values


def stream(text: str) -> list[dict[str, Any]]:
    return [{"output_type": "stream", "name": "stdout", "text": text}]


CHART = {
    "output_type": "display_data",
    "metadata": {},
    "data": {"application/vnd.plotly.v1+json": {"x": [[1.5] * 9] * 9}},
}
NAN, INF = float("nan"), float("inf")
IMAGE = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo" * 100_000}}
OWN_KERNEL = {"name": "my-env", "display_name": "My env", "language": "python"}
PYSPARK = {
    "kernelspec": {"name": "pysparkkernel", "language": "python"},
    "language_info": {"name": "pyspark"},
}

# By name: an honest file's oddity, and what the notes say of it, "" for nothing.
ODD: dict[str, tuple[Spoil, str]] = {
    "all on one line": (each_cell(lambda cell: None), ""),
    "sources in one string": (each_cell(lambda cell: cell.update(source="".join(cell["source"]))), ""),
    "Windows' line ends in the file": (lambda good: good.replace(b"\n", b"\r\n"), ""),
    "Windows' line ends in sources": (lambda good: good.replace(b"\\n", b"\\r\\n"), ""),
    "old Mac's line ends in sources": (lambda good: good.replace(b"\\n", b"\\r"), ""),
    "a UTF-8 mark": (lambda good: b"\xef\xbb\xbf" + good, ""),
    **{
        f"format 4.{minor} without ids": (each_cell(lambda cell: cell.pop("id"), nbformat_minor=minor), "")
        for minor in range(5)
    },
    "format 4.5 without ids": (each_cell(lambda cell: cell.pop("id")), ""),
    "format 4.9 with things unknown": (
        each_cell(lambda cell: cell.update(mood="new"), nbformat_minor=9, mood="new"),
        "",
    ),
    "no minor format": (changed("nbformat_minor"), ""),
    "no kernel": (changed("metadata", to={}), "names nothing as its kernel"),
    "no metadata": (changed("metadata"), "names nothing as its kernel"),
    "a kernel of the wrong kind": (
        changed("metadata", to={"kernelspec": ["python3"]}),
        "names nothing as its kernel",
    ),
    "a kernel of the learner's own": (
        changed("metadata", to={"kernelspec": OWN_KERNEL}),
        'names "my-env" as its kernel',
    ),
    "a PySpark kernel": (changed("metadata", to=PYSPARK), 'names "pysparkkernel" as its kernel'),
    "a language of the wrong kind": (changed("metadata", "language_info", to={"name": ["R"]}), ""),
    "what JupyterLab, papermill and widgets leave": (
        changed(
            "metadata",
            to=lambda old: (
                old
                | {
                    "widgets": {"x": {"state": {"a": {}}}},
                    "papermill": {"duration": None},
                    "language_info": {"name": "python", "version": "3.9.1"},
                    "toc-autonumbering": True,
                }
            ),
        ),
        "",
    ),
    "an output of 50 MB": (
        course_cell("answer-1a-1", outputs=stream("x" * 50_000_000), execution_count=3),
        "has 48 MiB; outputs",
    ),
    "pictures, charts": (course_cell("answer-1a-1", outputs=[IMAGE, CHART], execution_count=3), ""),
    "nested as deep as can be": (with_value(malformed.nested(99)), ""),
    "outputs that nothing left": (
        course_cell("check-1a-1", outputs=stream("2.0"), execution_count=None),
        r"no run.*\(cell \d+\)",
    ),
    "outputs of a lesson": (
        changed("cells", 0, "outputs", to=stream("x")),
        r"no run that left them \(cell 1\)",
    ),
    "outputs of the wrong kind": (course_cell("answer-1a-1", outputs={"text": "x"}, execution_count=[1]), ""),
    "cells of the learner's own": (
        more_cells(
            code(),
            code(["a\n", "b"], id="mine"),
            {"cell_type": "markdown", "metadata": {}, "source": "# me"},
            {"cell_type": "raw", "source": []},
            code("", metadata={"tags": ["x"]}, attachments={}),
        ),
        "",
    ),
    "NaN and infinity in an output, as plotly writes them": (
        course_cell("answer-1a-1", outputs=[CHART | {"data": {"x": [NAN, -INF]}}], execution_count=3),
        "",
    ),
    "NaN in papermill's metadata": (
        changed("metadata", "papermill", to={"duration": NAN, "parameters": {"x": INF}}),
        "",
    ),
    "NaN in a cell's metadata": (grading("check-1a-1", {"grade_id": "check-1a-1", "points": NAN}), ""),
    "a number of 5,000 digits": (with_value("9" * 5_000), ""),
    "a number of 400 digits": (with_value("9" * 400), ""),
    "a number beyond all": (with_value("1e999"), ""),
    "half a surrogate pair in an output": (
        course_cell("answer-1a-1", outputs=stream("\ud83d"), execution_count=3),
        "",
    ),
    "half a surrogate pair in metadata": (
        changed("metadata", "papermill", to={"\ud83d": "\ud83d"}),
        "",
    ),
    "a name twice in an output": (
        with_text('"outputs": []', '"outputs": [{"a": 1, "a": 2}]'),
        "no run that left them",
    ),
    "text in many scripts": (more_cells(code("'\N{SNOWMAN}\U0001f600\0\x1b\u202e\u2028'")), ""),
    "an id twice": (
        more_cells(code(id="same"), code(id="same")),
        r"another cell's, was replaced \(cell 42\)",
    ),
    "an id of a course cell": (
        more_cells(code(id="parameters")),
        r"another cell's, was replaced \(cell 41\)",
    ),
    "ids that are none": (
        more_cells(
            code(id=""), code(id="a b"), code(id="x" * 65), code(id=7), code(id=["x"]), code(id="x\n")
        ),
        r"was replaced \(cells 41, 42, 43, 44, 45, 46\)",
    ),
    "an id that a repair would give": (more_cells(code(id="cell-42-0"), code()), ""),
    "metadata stripped by a tool": (
        each_cell(lambda cell: cell.update(metadata={})),
        "put back by the cell's own id",
    ),
    "nbgrader's metadata a list": (grading("check-1a-1", ["check-1a-1"]), "(?s)was dropped.*put back"),
    "nbgrader's metadata null": (grading("check-1a-1", None), "(?s)was dropped.*put back"),
    "nbgrader's id a number": (grading("check-1a-1", {"grade_id": 7}), "(?s)was dropped.*put back"),
    "nbgrader's id unknown": (
        more_cells(code(metadata={"nbgrader": {"grade_id": "bonus", "points": 99}})),
        r"was dropped \(cell 41\)",
    ),
    "nbgrader's other values of the wrong kind": (
        grading(
            "check-1a-1", {"grade_id": "check-1a-1", "schema_version": "new", "points": [1e9], "locked": None}
        ),
        "",
    ),
    "a schema of nbgrader's that is to come": (
        grading("check-1a-1", {"grade_id": "check-1a-1", "schema_version": 99}),
        "",
    ),
    "tags of the wrong kind": (
        more_cells(code(metadata={"tags": "x"}), code(metadata={"tags": [1, "a,b", "", "é", "é"]})),
        "",
    ),
    "tags of course cells on other cells": (
        more_cells(code(metadata={"tags": ["parameters", "demo", "check:1a.1", "mine"]})),
        "",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_but_honest_file_is_graded(handed_in: Path, name: str) -> None:
    spoil, said = ODD[name]
    nb, notes = taken(handed_in, spoil(GOOD))
    assert re.search(said, "\n".join(notes)) if said else notes == ()
    course = {cell.id: cell for cell in RELEASED.cells if "nbgrader" in cell.metadata}
    found = {cell.metadata.nbgrader.grade_id: cell for cell in nb.cells if "nbgrader" in cell.metadata}
    assert found.keys() == course.keys()
    for grade_id, cell in found.items():
        assert essence(cell)[1:] == essence(course[grade_id])[1:]


def test_what_is_kept_of_other_cells(handed_in: Path) -> None:
    tags = ["a", 1, "a", "b,c", "", "x" * 101, "answer:1a.1", "setup", "d\n", *(f"t{n}" for n in range(50))]
    extra = [
        code(["a\r\n", "b\rc"], id="mine", metadata={"tags": tags, "name": "x"}),
        code(),
        code(id="cell-2-0"),
    ]
    nb, _ = taken(handed_in, more_cells(*extra, at=0)(GOOD))
    assert nb.cells[0] == {
        **{"id": "mine", "cell_type": "code", "source": "a\nb\nc", "outputs": [], "execution_count": None},
        "metadata": {"tags": ["a", *(f"t{n}" for n in range(19))]},
    }
    assert [cell.id for cell in nb.cells[1:3]] == ["cell-2-0", "cell-3-0"]


@pytest.mark.parametrize("tags", ["x", 7, {"x": 1}, None])
def test_tags_that_are_no_list_are_dropped(handed_in: Path, tags: Any) -> None:
    nb, _ = taken(handed_in, more_cells(code(metadata={"tags": tags}), at=0)(GOOD))
    assert nb.cells[0].metadata == {"tags": []}


def test_new_ids_are_the_released_ones_and_the_same_in_each_reading(handed_in: Path) -> None:
    data = each_cell(lambda cell: cell.pop("id"))(GOOD)
    nb, _ = taken(handed_in, data)
    assert nb == taken(handed_in, data)[0]
    for cell, released in zip(nb.cells, RELEASED.cells, strict=True):
        assert cell.id == released.id or "nbgrader" not in released.metadata


def test_a_note_on_hundreds_of_cells_is_cut(handed_in: Path) -> None:
    _, (note,) = taken(handed_in, more_cells(*[code(id="same")] * 500)(GOOD))
    assert len(note) > 300 and note.endswith("\N{HORIZONTAL ELLIPSIS}")


# Cells that are known by what they say, and checks that are put back


def solved_cells() -> list[dict[str, Any]]:
    """The released notebook's cells with an answer in each answer cell, as a learner saves them."""
    cells = json.loads(GOOD)["cells"]
    for cell in cells:
        if cell["id"].startswith("answer-"):
            cell["source"] = "".join(cell["source"]).replace("# YOUR CODE HERE", f"x = {cell['id'][7:]!r}")
    return cells


def saved(cells: list[dict[str, Any]]) -> bytes:
    return json.dumps(json.loads(GOOD) | {"cells": cells}).encode()


def bare(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells as a tool leaves them that knows neither metadata nor ids."""
    return [{key: value for key, value in cell.items() if key != "id"} | {"metadata": {}} for cell in cells]


def course_cells(nb: NotebookNode) -> list[tuple[str, str]]:
    return [
        (cell.metadata.nbgrader.grade_id, cell.source) for cell in nb.cells if "nbgrader" in cell.metadata
    ]


def at(cells: list[dict[str, Any]], name: str) -> int:
    return next(index for index, cell in enumerate(cells) if cell["id"] == name)


SOLVED = [
    (name, source.replace("# YOUR CODE HERE", f"x = {name[7:]!r}")) for name, source in course_cells(RELEASED)
]


def test_cells_without_metadata_and_ids_are_known_by_their_text_and_place(handed_in: Path) -> None:
    nb, (note,) = taken(handed_in, saved(bare(solved_cells())))
    assert course_cells(nb) == SOLVED
    assert "nbgrader's metadata and the cell's id were lost; it was known by its text and place" in note


def test_an_answer_that_kept_nothing_of_its_cell_is_the_code_right_above_its_check(handed_in: Path) -> None:
    cells = solved_cells()
    cells[at(cells, "answer-1a-2")]["source"] = "hot_keys = 1"
    cells.insert(at(cells, "answer-1a-2"), code("scratch = 0", id="mine"))
    cells[at(cells, "check-1a-3")]["source"] = ["check('1a.3')  # done"]
    nb, _ = taken(handed_in, saved(bare(cells)))
    assert dict(course_cells(nb))["answer-1a-2"] == "hot_keys = 1"
    assert [name for name, _ in course_cells(nb)] == [name for name, _ in SOLVED]


def merged(cells: list[dict[str, Any]], first: str, last: str, keeps: str) -> list[dict[str, Any]]:
    """The cells from `first` to `last` as one, as JupyterLab merges them, with the metadata and id of one of them."""
    begin, end = at(cells, first), at(cells, last)
    text = "\n\n".join("".join(cell["source"]) for cell in cells[begin : end + 1])
    return [*cells[:begin], cells[at(cells, keeps)] | {"source": text}, *cells[end + 1 :]]


MERGED = {
    "into the answer above it": ("answer-1a-2", "check-1a-2", "answer-1a-2"),
    "into the check below it": ("answer-1a-2", "check-1a-2", "check-1a-2"),
    "two steps in one": ("answer-1a-2", "check-1a-3", "answer-1a-2"),
}


@pytest.mark.parametrize("strip", [False, True], ids=["kept", "stripped"])
@pytest.mark.parametrize("name", MERGED)
def test_a_check_that_was_merged_is_put_back_behind_its_answer(
    handed_in: Path, name: str, strip: bool
) -> None:
    cells = merged(solved_cells(), *MERGED[name])
    nb, notes = taken(handed_in, saved(bare(cells) if strip else cells))
    names = [name for name, _ in course_cells(nb)]
    released = [name for name, _ in SOLVED]
    assert names == [each for each in released if each != "answer-1a-3" or name != "two steps in one"]
    sources = dict(course_cells(nb))
    assert sources["check-1a-2"] == 'check("1a.2")' and "x = '1a-2'" in sources["answer-1a-2"]
    assert "check-1a-2 was gone and was put back behind answer-1a-2, as it was released." in notes


def test_all_checks_gone_are_put_back(handed_in: Path) -> None:
    cells = [cell for cell in solved_cells() if not cell["id"].startswith("check-")]
    nb, notes = taken(handed_in, saved(cells))
    assert course_cells(nb) == SOLVED
    assert len(notes) == 10 and all("was put back behind answer-" in note for note in notes)


def test_a_check_comes_behind_the_rest_of_a_split_answer(handed_in: Path) -> None:
    cells = solved_cells()
    cells[at(cells, "check-1a-2")] = code("shuffle_join = {}", id="rest")
    nb, _ = taken(handed_in, saved(cells))
    place = [cell.id for cell in nb.cells].index("check-1a-2")
    assert [cell.id for cell in nb.cells[place - 2 : place]] == ["answer-1a-2", "rest"]


def test_a_check_whose_answer_is_gone_too_comes_before_the_next_step(handed_in: Path) -> None:
    cells = [cell for cell in solved_cells() if cell["id"] not in {"answer-1a-2", "check-1a-2"}]
    nb, notes = taken(handed_in, saved(cells))
    assert [name for name, _ in course_cells(nb)] == [name for name, _ in SOLVED if name != "answer-1a-2"]
    assert set(notes) == {
        "answer-1a-2 is gone.",
        "check-1a-2 was gone and was put back above answer-1a-3, as it was released.",
    }


def test_a_check_typed_by_the_learner_stands_in_for_the_one_that_is_gone(handed_in: Path) -> None:
    cells = solved_cells()
    cells[at(cells, "check-1a-2")] = code('check("1a.2");', id="mine")
    nb, _ = taken(handed_in, saved(cells))
    assert course_cells(nb) == [(n, 'check("1a.2");' if n == "check-1a-2" else s) for n, s in SOLVED]
    cells[at(cells, "check-1a-3")] = code('check("1a.2")', id="another")  # says which step it is of
    nb, notes = taken(handed_in, saved(cells))
    assert "check-1a-3 was gone and was put back behind answer-1a-3, as it was released." in notes


@pytest.mark.parametrize(
    "claim", ['check("1a.2"); 2.0', '"""check("1a.2")"""', "check = lambda _: 2.0", "2.0"]
)
def test_what_is_not_the_check_alone_is_no_check(handed_in: Path, claim: str) -> None:
    cells = solved_cells()
    cells[at(cells, "check-1a-2")] = code(claim, id="mine")
    nb, notes = taken(handed_in, saved(cells))
    assert dict(course_cells(nb))["check-1a-2"] == 'check("1a.2")'
    assert any(note.startswith("check-1a-2 was gone") for note in notes)


# Notes on the module's cells


def edited(path: Path, edit: Callable[[list[dict[str, Any]], dict[str, int]], Any]) -> tuple[str, ...]:
    """The notes after `edit` has changed the cells in place, given where each course cell is."""
    raw = json.loads(GOOD)
    edit(raw["cells"], {cell["id"]: index for index, cell in enumerate(raw["cells"])})
    return taken(path, json.dumps(raw).encode())[1]


def test_answers_and_own_cells_bring_no_note(handed_in: Path) -> None:
    def edit(cells: list[dict[str, Any]], at: dict[str, int]) -> None:
        cells[at["answer-1a-1"]]["source"] = "slow_stage = {}"
        cells.insert(at["answer-1a-2"], code())
        del cells[0]

    assert edited(handed_in, edit) == ()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda cells, at: cells.pop(at["check-1a-2"]),
            "check-1a-2 was gone and was put back behind answer-1a-2, as it was released.",
        ),
        (
            lambda cells, at: cells.pop(at["setup-1"]),
            "setup-1 was gone and was put back behind parameters, as it was released.",
        ),
        (lambda cells, at: cells.pop(at["answer-1a-2"]), "answer-1a-2 is gone."),
        (
            lambda cells, at: cells.pop(at["parameters"]),
            "parameters is gone; the seed is set in the first code cell.",
        ),
        (
            lambda cells, at: cells.append(cells[at["check-1a-2"]] | {"id": "copy"}),
            rf"check-1a-2 is there 2 times \(cells \d+, {len(RELEASED.cells) + 1}\); the last counts.",
        ),
        (
            lambda cells, at: cells.insert(0, cells[at["check-1a-2"]] | {"id": "copy"}),
            r"check-1a-2 is there 2 times \(cells 1, \d+\); the last counts.",
        ),
        (
            lambda cells, at: cells[at["check-1a-2"]].update(cell_type="markdown"),
            r"check-1a-2 \(cell \d+\) is a markdown cell, but counts as the code cell it was.",
        ),
        (
            lambda cells, at: cells[at["answer-1a-2"]].update(cell_type="raw"),
            r"answer-1a-2 \(cell \d+\) is a raw cell, but counts as the code cell it was.",
        ),
        (
            lambda cells, at: cells[at["check-1a-2"]].update(source="2.0"),
            r"check-1a-2 \(cell \d+\) was changed, but counts with the text that was released.",
        ),
        (
            lambda cells, at: cells[at["parameters"]].update(source=["SEED = 1"]),
            r"parameters \(cell \d+\) was changed, but counts with the text that was released.",
        ),
        (
            lambda cells, at: cells.insert(0, cells.pop(at["check-1a-2"])),
            r"check-1a-2 \(cell 1\) stands above answer-1a-2 \(cell \d+\), below which it was released.",
        ),
    ],
    ids=[
        *("check gone", "setup gone", "answer gone", "parameters gone", "pasted below", "pasted above"),
        *("check as Markdown", "answer as raw", "check changed", "seed changed", "check moved"),
    ],
)
def test_a_note_says_what_became_of_a_course_cell(
    handed_in: Path, edit: Callable[[list[dict[str, Any]], dict[str, int]], Any], said: str
) -> None:
    (note,) = edited(handed_in, edit)
    assert re.fullmatch(said, note), note


def test_a_duplicate_of_which_the_last_was_changed(handed_in: Path) -> None:
    notes = edited(
        handed_in, lambda cells, at: cells.append(cells[at["check-1a-2"]] | {"source": "2.0", "id": "x"})
    )
    assert [note.split(" (")[0] for note in notes] == ["check-1a-2 is there 2 times", "check-1a-2"]


# Anything


BATCHES, CASES = 20, 25
JUNK: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        10**30,
        1.5,
        float("nan"),
        "",
        "x",
        "python",
        "code",
        "check-1a-1",
        "\ud800",
        "\0\n\u202e",
    ),
    *(
        [],
        {},
        [[]],
        ["x", "x"],
        [None],
        {"": None},
        {"grade_id": "check-1a-1"},
        {"grade_id": []},
        {"name": "R"},
        "y" * 100_000,
    ),
)
BYTES = (
    b"",
    b"\0",
    b"\xff",
    b'"',
    b"\\",
    b"{",
    b"]",
    b",",
    b"9" * 700,
    b"\n",
    b"\\ud83d",
    b"\xef\xbb\xbf",
    b"[" * 150,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in pairs for place in ((value, key), *places(inner))]


def is_small(value: Any) -> bool:
    return not isinstance(value, list | dict) and len(str(value)) < 100


def mutated(chance: random.Random) -> bytes:
    """The learner notebook after a few changes to its JSON, and in some cases to its bytes."""
    raw = json.loads(GOOD)
    for _ in range(chance.randint(0, 4)):
        everything = places(raw)
        # Half of the changes go where there is more than text.
        inside, key = chance.choice(
            [p for p in everything if isinstance(p[0], dict)] if chance.random() < 0.5 else everything
        )
        match chance.randrange(7):
            case 0:
                del inside[key]
            case 1 | 2:
                inside[key] = copy.deepcopy(chance.choice(JUNK))
            case 3:
                inside[key] = [inside[key]] * chance.choice((1, 2, 3_000 if is_small(inside[key]) else 3))
            case 4:
                for _ in range(chance.choice((1, 50, 150))):
                    inside[key] = [inside[key]]
            case 5:
                inside[key] = copy.deepcopy(chance.choice(everything)[0])
            case 6:
                chance.shuffle(raw["cells"] if isinstance(raw.get("cells"), list) else [])
    data = bytearray(json.dumps(raw, indent=1 if chance.random() < 0.5 else None).encode())
    for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 5))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                del data[at:]
            case 1:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 2:
                data[at:at] = chance.choice(BYTES)
            case 3:
                end = at + chance.randrange(2_000)
                data[at:at] = data[at:end]
    return bytes(data)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_any_change_gives_a_notebook_or_a_sentence(handed_in: Path, batch: int) -> None:
    outcomes = []
    for seed in range(batch * CASES, (batch + 1) * CASES):
        data = mutated(random.Random(seed))
        try:
            try:
                taken(handed_in, data)
                outcomes.append("graded")
            except Rejected as refused:
                assert is_a_sentence(str(refused)), str(refused)
                outcomes.append("refused")
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert set(outcomes) == {"graded", "refused"}


def test_the_released_notebook_comes_back_as_it_is_and_without_notes(handed_in: Path) -> None:
    nb, notes = taken(handed_in, GOOD)
    assert notes == ()
    assert [essence(cell) for cell in nb.cells] == [essence(cell) for cell in RELEASED.cells]
    assert nb == intake.read(handed_in, RELEASED, handed_in.parents[2])
