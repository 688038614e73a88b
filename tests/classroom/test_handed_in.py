"""A class's folders as people and platforms hand them in: the right notebook is found or a sentence says why not, and nobody gets lost."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import malformed
import pytest
import tiny_course
from nbgrader.api import Gradebook

from grader.classroom import class_report, collect, students
from grader.classroom.class_report import Result
from grader.classroom.collect import Submission
from grader.classroom.students import student_of
from grader.course.notebook import dumps, read
from labs_lib import registry
from labs_lib.errors import LabsError

NAME = "01_optimization"
NOBODY = 65534
GOOD = malformed.LEARNER_NOTEBOOK.read_bytes()
OTHER = (malformed.LEARNER_NOTEBOOK.parents[1] / "02_patterns" / "02_patterns.ipynb").read_bytes()
MINE = GOOD.replace(b"# YOUR CODE HERE", b"mine = 1")
MODULE = registry.module(NAME)
PROPER = f"ada/{NAME}/{NAME}.ipynb"
Class = tuple[dict[str, Submission], dict[str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course's folder with its registry, a released module and nothing handed in."""
    for path in ("labs_lib/registry.toml", f"modules/{NAME}/{NAME}.ipynb"):
        (tmp_path / path).parent.mkdir(parents=True)
        shutil.copyfile(tiny_course.REPOSITORY / path, tmp_path / path)
    (tmp_path / "submitted").mkdir()
    return tmp_path


def submit(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / "submitted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def collected(root: Path, *students: str) -> Class:
    """Submissions by id, and sentences of what was refused by id."""
    accepted, refused = collect.collect(root, MODULE, students)
    for sentence in (*(s for each in accepted for s in each.oddities), *(each.refused for each in refused)):
        assert sentence.isprintable() and len(sentence) < 700 and sentence.endswith((".", "…")), sentence
    return {each.student: each for each in accepted}, {each.student: each.refused for each in refused}


def notes(submission: Submission) -> str:
    return " ".join(submission.oddities)


def has(submission: Submission, data: bytes) -> bool:
    sources = ["".join(cell["source"]) for cell in json.loads(data)["cells"]]
    return [cell.source for cell in submission.notebook.cells] == sources


def zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_notebook_in_its_place_brings_no_note(root: Path) -> None:
    submit(root, {PROPER: MINE, "bob/02_patterns/02_patterns.ipynb": OTHER})
    submit(root, {"ada/02_patterns/02_patterns.ipynb": OTHER, f"ada/{NAME}/.ipynb_checkpoints/x.ipynb": GOOD})
    accepted, refused = collected(root)
    assert accepted.keys() == {"ada"} and refused == {}
    assert has(accepted["ada"], MINE) and accepted["ada"].oddities == () and accepted["ada"].timestamp == ""


# Where the one notebook may lie, below ada/.
PLACES = {
    "another case": f"{NAME}/01_Optimization.ipynb",
    "a browser's second download": f"{NAME}/{NAME} (1).ipynb",
    "JupyterLab's copy": f"{NAME}/{NAME}-Copy1.ipynb",
    "a person's last version": f"{NAME}/{NAME}_final.ipynb",
    "an ending in capitals": f"{NAME}/{NAME}.IPYNB",
    "Colab's copy": "Copy of 01_optimization.ipynb",
    "blanks for marks": "01 Optimization.ipynb",
    "another name in the folder": f"{NAME}/homework.ipynb",
    "straight in the learner's folder": f"{NAME}.ipynb",
    "a name of the learner's own": "my homework.ipynb",
    "a folder of another case": f"01_Optimization/{NAME}.ipynb",
    "a folder downloaded twice": f"{NAME} (1)/{NAME}.ipynb",
    "one folder deeper": f"{NAME}/{NAME}/{NAME}.ipynb",
    "a folder around it": f"homework/{NAME}/{NAME}.ipynb",
    "JSON taken for text": f"{NAME}/{NAME}.ipynb.txt",
    "JSON taken for JSON": f"{NAME}.ipynb.json",
    "a blank at the end": f"{NAME}/{NAME}.ipynb ",
    "Canvas' name": "lovelaceada_4711_815_01_optimization.ipynb",
}


@pytest.mark.parametrize("name", PLACES)
def test_the_one_notebook_is_found_and_said(root: Path, name: str) -> None:
    submit(root, {f"ada/{PLACES[name]}": MINE, "bob/02_patterns/02_patterns.ipynb": OTHER})
    accepted, refused = collected(root)
    assert refused == {} and has(accepted["ada"], MINE)
    assert accepted["ada"].oddities == (f"Taken from ada/{PLACES[name]}, as nothing lies at {PROPER}.",)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("place", [f"ada/{NAME}.zip", f"ada/{NAME}/hand-in.zip", "ada/Abgabe.ZIP"])
def test_the_one_notebook_is_found_in_a_zip(root: Path, name: str, place: str) -> None:
    inside = {
        PLACES[name]: MINE,
        f"__MACOSX/._{NAME}.ipynb": b"x",
        ".DS_Store": b"",
        "02_patterns.ipynb": OTHER,
    }
    submit(root, {place: zipped(inside)})
    accepted, refused = collected(root)
    assert refused == {} and has(accepted["ada"], MINE)
    assert notes(accepted["ada"]) == f"Taken from {PLACES[name]} in {place}, as nothing lies at {PROPER}."


def test_another_modules_notebook_is_nobodys_business(root: Path) -> None:
    submit(
        root,
        {PROPER: MINE, "bob/02_patterns.ipynb": OTHER, "cyd/02_patterns.zip": zipped({"x.ipynb": OTHER})},
    )
    assert collected(root)[1] == {}
    with pytest.raises(LabsError, match="no submission of 01_optimization by bob"):
        collected(root, "bob")


def test_what_is_left_out_is_named(root: Path) -> None:
    submit(
        root, {PROPER: MINE, f"ada/{NAME}/{NAME} (1).ipynb": GOOD, "ada/old.zip": zipped({"x.ipynb": GOOD})}
    )
    submit(root, {f"bob/{NAME}.ipynb": MINE, "bob/scratch.ipynb": GOOD, f"bob/{NAME}/notes.txt": b"x"})
    submit(root, {"readme.txt": b"x", "class.zip": zipped({"ada/x.ipynb": GOOD}), "cyd.ipynb": GOOD})
    submit(root, {"dan/answers.pdf": b"x", "eve/x.zip": zipped({"y.zip": zipped({f"{NAME}.ipynb": GOOD})})})
    (root / "submitted" / "fay").mkdir()
    accepted, refused = collected(root)
    assert notes(accepted["ada"]) == f"Left out: ada/old.zip, ada/{NAME}/{NAME} (1).ipynb."
    assert f"Left out: bob/scratch.ipynb, bob/{NAME}/notes.txt." in notes(accepted["bob"])
    none = f"There is no notebook of {NAME}: ask for its .ipynb file, by itself or in one zip."
    straight = "It lies straight in submitted/: put it into a folder with the learner's name there."
    assert refused == {
        **dict.fromkeys(["readme.txt", "class.zip", "cyd.ipynb"], straight),
        "dan": f"{none} Left out: dan/answers.pdf.",
        "eve": f"{none} Left out: eve/x.zip.",
        "fay": "fay holds no file.",
    }


def test_two_that_differ_are_refused_and_two_that_are_the_same_are_one(root: Path) -> None:
    submit(root, {"ada/01_optimization (1).ipynb": GOOD, "ada/01_optimization (2).ipynb": MINE})
    submit(root, {f"bob/{NAME}.ipynb": MINE, "bob/all.zip": zipped({f"{NAME}.ipynb": GOOD})})
    submit(root, {f"cyd/{NAME}.ipynb": MINE, "cyd/all.zip": zipped({f"{NAME}.ipynb": MINE})})
    submit(root, {f"dan/{NAME}/a.ipynb": MINE, f"dan/{NAME}/b.ipynb": OTHER})
    accepted, refused = collected(root)
    two = f"There are 2 notebooks that could be {NAME}"
    assert refused == {
        "ada": f"{two}: ada/01_optimization (1).ipynb, ada/01_optimization (2).ipynb. Leave the one that counts.",
        "bob": f"{two}: bob/{NAME}.ipynb, {NAME}.ipynb in bob/all.zip. Leave the one that counts.",
    }
    assert has(accepted["cyd"], MINE) and f"Left out: {NAME}.ipynb in cyd/all.zip, cyd/all.zip." in notes(
        accepted["cyd"]
    )
    assert has(accepted["dan"], MINE) and f"Left out: dan/{NAME}/b.ipynb." in notes(accepted["dan"])


def test_a_notebook_that_is_none_says_why(root: Path) -> None:
    submit(root, {"ada/notes.ipynb": b"{}", f"bob/{NAME}/x.ipynb": b"", "cyd/pat.ipynb": OTHER})
    submit(root, {PROPER.replace("ada", "dan"): b""})
    _, refused = collected(root)
    assert "notes.ipynb is none: It gives its notebook format as nothing" in refused["ada"]
    assert refused["bob"].startswith("x.ipynb is empty")
    assert "pat.ipynb is none: It has no answer or check cell of the module, but" in refused["cyd"]
    assert refused["dan"].startswith(f"{NAME}.ipynb is empty")


@pytest.mark.parametrize("closed", [f"ada/{NAME}/{NAME}.ipynb", f"ada/{NAME}", "ada"])
def test_what_may_not_be_read_is_nobody_elses_trouble(root: Path, closed: str) -> None:
    submit(root, {PROPER: MINE, PROPER.replace("ada", "bob"): MINE})
    place = root / "submitted" / closed
    place.chmod(0)
    for folder in (root, *root.parents):  # pytest's folders are for their owner only
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)
        if folder.name.startswith("pytest-of-"):
            break
    try:
        if os.geteuid() == 0:  # whom nothing is closed to
            os.seteuid(NOBODY)
        accepted, refused = collected(root)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        place.chmod(0o755)
    assert accepted.keys() == {"bob"}
    assert "Permission denied" in refused["ada"]


def test_an_error_that_nobody_thought_of_is_one_learners_trouble(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(root, {PROPER: MINE, PROPER.replace("ada", "bob"): MINE})
    plain = collect.handed_in.notebook_of

    def notebook_of(place: Path, folder: str, *arguments: Any) -> Any:
        if folder == "ada":
            raise RuntimeError("no luck")
        return plain(place, folder, *arguments)

    monkeypatch.setattr(collect.handed_in, "notebook_of", notebook_of)
    accepted, refused = collected(root)
    assert accepted.keys() == {"bob"} and refused == {"ada": "It can't be read: RuntimeError: no luck."}


def test_links_are_not_followed_and_huge_folders_not_read_to_their_end(root: Path) -> None:
    submit(root, {"bob/secret.ipynb": MINE, "deep/" + "x/" * 30 + f"{NAME}.ipynb": MINE})
    submit(root, {f"many/{n}.txt": b"" for n in range(2_100)})
    os.symlink("bob", root / "submitted" / "ada")
    (root / "submitted" / "cyd").mkdir()
    os.symlink(root / "submitted" / "bob", root / "submitted" / "cyd" / NAME)
    (root / "submitted" / "dan").mkdir()
    os.symlink(root / "submitted" / "bob" / "secret.ipynb", root / "submitted" / "dan" / "x.ipynb")
    accepted, refused = collected(root)
    assert accepted.keys() == {"bob"}
    assert refused["ada"] == "ada is a symbolic link: put the notebook itself there."
    assert refused["cyd"] == f"cyd/{NAME} is a symbolic link: put the notebook itself there."
    assert "dan/x.ipynb is a symbolic link" in refused["dan"]
    assert "deeper inside each other than 6" in refused["deep"] and "more than 2,000 files" in refused["many"]


def test_a_folder_called_like_the_module_is_no_learner(root: Path) -> None:
    submit(root, {f"{NAME}/ada/{NAME}.ipynb": MINE})
    assert "wanted is submitted/<student>/<module>" in collected(root)[1][NAME]


# Zips that are none, or worse


def flagged(data: bytes, flags: int) -> bytes:
    """The zip with these bits of the flags of its first entry set, in both places."""
    at = data.index(b"PK\x01\x02")
    return data[:6] + struct.pack("<H", flags) + data[8 : at + 8] + struct.pack("<H", flags) + data[at + 10 :]


def linked() -> bytes:
    info = zipfile.ZipInfo(f"{NAME}.ipynb")
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def bomb() -> bytes:
    return zipped({f"{NAME}.ipynb": bytes(200 * 2**20)})


def lying_bomb() -> bytes:
    """A bomb that says that it holds 100 bytes."""
    data = bytearray(bomb())
    at = data.index(b"PK\x01\x02")
    data[22:26] = data[at + 24 : at + 28] = struct.pack("<L", 100)
    return bytes(data)


ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "no zip": (lambda: b"PK\x03\x04 but no zip", "is no zip file that can be read"),
    "empty": (lambda: b"", "is no zip file that can be read"),
    "truncated": (lambda: zipped({f"{NAME}.ipynb": MINE})[:-300], "is no zip file that can be read"),
    "broken inside": (
        lambda: zipped({f"{NAME}.ipynb": MINE}).replace(b"\x8f", b"\x8e"),
        "can't be read",
    ),
    "a bomb": (bomb, "is larger than 64 MiB"),
    "a bomb that lies": (lying_bomb, "can't be read|is larger"),
    "encrypted": (lambda: flagged(zipped({f"{NAME}.ipynb": MINE}), 1), "is encrypted"),
    "out of the folder": (lambda: zipped({f"../../{NAME}.ipynb": MINE}), "names a place outside"),
    "out of the folder, as on Windows": (
        lambda: zipped({f"..\\{NAME}.ipynb": MINE}),
        "names a place outside",
    ),
    "from the top": (lambda: zipped({f"/etc/{NAME}.ipynb": MINE}), "names a place outside"),
    "on a drive": (lambda: zipped({f"C:/{NAME}.ipynb": MINE}), "names a place outside"),
    "a link": (linked, "is a link"),
    "packed by lzma": (lambda: zipped({f"{NAME}.ipynb": MINE}, zipfile.ZIP_LZMA), "packed in a way"),
    "many entries": (lambda: zipped({f"{n}.txt": b"" for n in range(2_100)}), "lists more than 2,000"),
    "a long list": (
        lambda: zipped({f"{n}{'x' * 60_000}": b"" for n in range(20)}),
        "lists more than 2,000",
    ),
    "zip64": (lambda: zipped({f"{NAME}.ipynb": MINE}) + b"PK\x06\x07" + bytes(18), "is a zip64 file"),
    "a zip in it": (lambda: zipped({f"{NAME}.zip": zipped({"x.ipynb": MINE})}), "There is no notebook"),
    "many notebooks": (
        lambda: zipped({f"{n}/{NAME}.ipynb": MINE for n in range(40)}),
        "There are 40 notebooks",
    ),
}


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_that_is_no_good_is_named_and_the_others_go_on(root: Path, name: str) -> None:
    make, said = ZIPS[name]
    submit(root, {f"ada/{NAME}.zip": make(), PROPER.replace("ada", "bob"): MINE})
    submit(root, {f"cyd/{NAME}.zip": make(), f"cyd/{NAME}.ipynb": MINE})
    accepted, refused = collected(root)
    assert "ada" in refused
    assert re.search(said, refused["ada"]), refused["ada"]
    assert has(accepted["bob"], MINE)
    assert sorted(path.name for path in root.iterdir()) == ["labs_lib", "modules", "submitted"]
    if name != "many notebooks":
        assert has(accepted["cyd"], MINE) and f"cyd/{NAME}.zip" in notes(accepted["cyd"])


def test_any_change_to_a_zip_gives_the_notebook_or_a_sentence(root: Path) -> None:
    good = zipped({f"{NAME}.ipynb": MINE, "x/y.txt": b"x"})
    for seed in range(150):
        chance, data = random.Random(seed), bytearray(good)
        for _ in range(chance.randint(1, 6)):
            at = chance.choice([chance.randrange(len(data)), len(data) - 1 - chance.randrange(200)])
            data[at] = chance.randrange(256)
        submit(root, {"ada/a.zip": bytes(data)})
        accepted, refused = collected(root)
        assert accepted.keys() | refused.keys() == {"ada"}, seed
        assert "ada" in refused or has(accepted["ada"], MINE)


# Who it is


FOLDERS = {
    "Lovelace, Ada": ("Ada", "Lovelace"),
    "O'Brien": ("", "O'Brien"),
    "Grace Brewster Hopper": ("Grace Brewster", "Hopper"),
    unicodedata.normalize("NFD", "José Núñez"): ("José", "Núñez"),
    unicodedata.normalize("NFD", "Zoë"): ("", "Zoë"),
    "ज्योति शर्मा": ("ज्योति", "शर्मा"),
    "ज्योति": ("", "ज्योति"),
    "王 小明": ("王", "小明"),
    "Lovelace Ada_4711_assignsubmission_file_": ("Lovelace", "Ada"),
    "Ada (1)": ("Ada", "(1)"),
    "a*[b]?": ("", "a*[b]?"),
    "=cmd|' C calc'!A0": ("cmd|' C", "calc'!A0"),
    "x" * 200: ("", "x" * 100 + "…"),
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_any_name_has_an_id_that_nbgrader_takes_and_keeps_its_name(
    root: Path, folder: str
) -> None:
    submit(root, {f"{folder}/{NAME}/{NAME}.ipynb": MINE})
    (submission,) = collected(root)[0].values()
    assert students.PLAIN.fullmatch(submission.student) and submission.student.isascii()
    assert submission == collected(root, folder)[0][submission.student]
    assert submission == collected(root, submission.student)[0][submission.student]
    assert submission.names == FOLDERS[folder] and not {",", '"'} & set("".join(submission.names))
    assert "in the gradebook, as nbgrader can't take the folder's name" in notes(submission)


@pytest.mark.parametrize("folder", ["ada", "ada.lovelace@example.org", "josé", "王小明", "s-01+b"])
def test_a_name_that_nbgrader_takes_is_the_id(folder: str) -> None:
    assert student_of(folder) == students.Student(folder, folder)


def test_ids_are_as_they_were_and_no_two_names_share_one() -> None:
    assert student_of("Lovelace, Ada").id == "Lovelace-Ada-9d5d4b6d"
    assert student_of("ज्योति").id.startswith("student-")
    names = [
        *FOLDERS,
        "Lovelace Ada",
        "lovelace, ada",
        "Lovelace,Ada",
        unicodedata.normalize("NFC", "José Núñez"),
    ]
    assert len({student_of(name).id for name in names}) == len(names)


def test_a_folder_with_anothers_id_is_refused_and_so_is_the_other(root: Path) -> None:
    taken = student_of("Lovelace, Ada").id
    submit(root, {f"{name}/{NAME}/{NAME}.ipynb": MINE for name in ("Lovelace, Ada", taken, "bob")})
    accepted, refused = collected(root)
    assert accepted.keys() == {"bob"} and "Another folder has the id" in refused[taken]


def test_the_report_shows_the_name(root: Path) -> None:
    results = [Result("Lovelace-Ada-1", refused="It is empty.", name="Lovelace, <b>Ada"), Result("zed")]
    page = class_report.write(root, MODULE, results)
    for path in (page, page.parent / "learners" / "1.html"):
        assert "Lovelace, &lt;b&gt;Ada (Lovelace-Ada-1)" in path.read_text(encoding="utf-8")


# When it was


STAMPS: dict[str, tuple[bytes, str]] = {
    "nbgrader's own": (b"2026-03-01 10:00:00.000000 UTC\n", "2026-03-01 10:00:00.000000 UTC"),
    "with a zone": (b"2026-03-01 10:00:00 +0200", "2026-03-01 08:00:00.000000 UTC"),
    "with a zone by name": (b"2026-07-01 10:00:00 EST", "2026-07-01 15:00:00.000000 UTC"),
    "ISO with a zone": (b"2026-03-01T10:00:00+02:00", "2026-03-01 08:00:00.000000 UTC"),
    "a byte order mark": (b"\xef\xbb\xbf2026-03-01 10:00:00 UTC", "2026-03-01 10:00:00.000000 UTC"),
    "PowerShell's": ("\ufeff2026-03-01 10:00:00\r\n".encode("utf-16-le"), "2026-03-01 10:00:00.000000 UTC"),
}
NO_DATES: dict[str, bytes] = {
    "other words": b"handed in late, sorry",
    "empty": b"",
    "a number": b"7",
    "a year that is none": b"9999999-01-01",
    "the year 1": b"0001-01-01 00:00:00",
    "bytes": bytes(range(256))[:150],
    "long": b"2026-03-01 10:00:00 UTC" + b" " * 300,
    "a zone that is a file": b"2026-03-01 10:00:00 /dev/zero",
    "odd zone": b"2026-03-01 10:00:00 99999999999999999999",
}


@pytest.mark.parametrize("name", STAMPS)
@pytest.mark.parametrize("place", ["ada", f"ada/{NAME}"])
def test_a_time_of_handing_in_is_read(root: Path, name: str, place: str) -> None:
    data, said = STAMPS[name]
    submit(root, {PROPER: MINE, f"{place}/timestamp.txt": data})
    submission = collected(root)[0]["ada"]
    assert submission.timestamp == said
    assert submission.oddities == ()


@pytest.mark.parametrize("name", NO_DATES)
def test_where_no_date_is_said_the_files_own_time_counts(root: Path, name: str) -> None:
    submit(root, {PROPER: MINE, f"ada/{NAME}/timestamp.txt": NO_DATES[name]})
    os.utime(root / "submitted" / PROPER, (1_700_000_000, 1_700_000_000))
    submission = collected(root)[0]["ada"]
    assert submission.timestamp == "2023-11-14 22:13:20.000000 UTC"
    assert submission.oddities == (
        "timestamp.txt gives no date; the file's own time, 2023-11-14 22:13:20.000000 UTC, counts.",
    )


def test_a_timestamp_that_is_a_link_is_not_read(root: Path) -> None:
    submit(root, {PROPER: MINE, "x": b""})
    os.symlink("/etc/hostname", root / "submitted" / "ada" / NAME / "timestamp.txt")
    assert "the file's own time" in notes(collected(root, "ada")[0]["ada"])


# nbgrader's own command, and what the class's command brings into the gradebook


def tiny_class(root: Path) -> dict[str, float]:
    """A class of the tiny course as people hand it in; returns its points by id."""
    tiny_course.finished(root)
    right = tiny_course_answers(root, [f"answer_{n} = {n} + SEED" for n in range(1, 6)])
    stripped = json.loads(right)
    for cell in stripped["cells"]:
        cell["metadata"] = {}
    without_ids = {
        **stripped,
        "cells": [{k: v for k, v in c.items() if k != "id"} for c in stripped["cells"]],
    }
    no_checks = json.loads(right)
    no_checks["cells"] = [cell for cell in no_checks["cells"] if not cell["id"].startswith("check-")]
    tiny = tiny_course.NAME
    submit(
        root,
        {
            f"ada/{tiny}/{tiny}.ipynb": right,
            f"ada/{tiny}/timestamp.txt": b"whenever",
            f"Lovelace, Ada/{tiny} (1).ipynb": json.dumps(stripped).encode(),
            "O'Brien/hand-in.zip": zipped({f"{tiny}.ipynb": json.dumps(without_ids).encode()}),
            f"ज्योति/{tiny}/01_Tiny.ipynb": json.dumps(no_checks).encode(),
            f"half/{tiny}/{tiny}.ipynb": tiny_course_answers(root, ["answer_1 = 1 + SEED", "answer_2 = -1"]),
            f"broken/{tiny}/{tiny}.ipynb": b"{",
        },
    )
    everybody = ["ada", *(student_of(name).id for name in ("Lovelace, Ada", "O'Brien", "ज्योति"))]
    return {**dict.fromkeys(everybody, 10.0), "half": 3.0}


def tiny_course_answers(root: Path, lines: list[str]) -> bytes:
    nb = read(root / "modules" / tiny_course.NAME / f"{tiny_course.NAME}.ipynb")
    for cell in nb.cells:
        for number, line in enumerate(lines, start=1):
            if cell.get("id") == f"answer-1a-{number}":
                cell.source += f"\n{line}"
    return dumps(nb).encode()


def nbgrader(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The tiny course has no checks for the judge, so that its notebooks are believed.
    env = os.environ | {"LABS_GRADE_TRUSTING": "1", "LABS_WORKSPACE": str(root)}
    line = [sys.executable, "-m", *arguments]
    return subprocess.run(line, cwd=root, env=env, capture_output=True, text=True, timeout=300)


def test_nbgraders_autograde_takes_what_the_class_is_graded_by(tmp_path: Path) -> None:
    points = tiny_class(tmp_path)
    assert nbgrader(tmp_path, "nbgrader", "generate_assignment", tiny_course.NAME, "--force").returncode == 0
    done = nbgrader(tmp_path, "nbgrader", "autograde", tiny_course.NAME)
    assert done.returncode == 1 and "broken can't be graded: 01_tiny.ipynb is not valid JSON" in done.stderr
    assert "put back behind answer-1a-5" in done.stderr and "timestamp.txt gives no date" in done.stderr
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        found = {each.student_id: each.score for each in book.assignment_submissions(tiny_course.NAME)}
        people = {each.id: (each.first_name, each.last_name) for each in book.students}
    assert found == points
    assert people[student_of("Lovelace, Ada").id] == ("Ada", "Lovelace")
    assert nbgrader(tmp_path, "nbgrader", "export").returncode == 0
    assert ",Lovelace,Ada," in (tmp_path / "grades.csv").read_text(encoding="utf-8")
    done = nbgrader(tmp_path, "nbgrader", "autograde", tiny_course.NAME, "--force", "--student=Lovelace, Ada")
    assert done.returncode == 0, done.stderr
    assert "Lovelace-Ada-" in done.stderr and "half" not in done.stderr


ENTER = """
import sys, pathlib
from grader.classroom import batch, collect
from grader.classroom.class_report import Result
from grader.course import paths
root = pathlib.Path.cwd()
module = paths.chosen(root, sys.argv[1])[0]
submissions, refused = collect.collect(root, module, [])
api = batch.gradebook(root, module)
for each in submissions:
    result = batch.enter(api, root, module, each, Result(each.student, notes=each.oddities))
    assert result.notes == each.oddities, result.notes
"""


def test_the_class_is_brought_into_the_gradebook_without_a_word_of_its_library(tmp_path: Path) -> None:
    points = tiny_class(tmp_path)
    (tmp_path / "enter.py").write_text(ENTER)
    done = nbgrader(tmp_path, "enter", tiny_course.NAME)
    assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        found = {each.student_id: each.score for each in book.assignment_submissions(tiny_course.NAME)}
        when = {each.student_id: each.timestamp for each in book.assignment_submissions(tiny_course.NAME)}
    assert found == points
    assert abs((datetime.now(UTC).replace(tzinfo=None) - when["ada"]).total_seconds()) < 3600
    assert "SAWarning" not in done.stdout + done.stderr, done.stdout + done.stderr
