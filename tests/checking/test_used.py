"""Answers that are used: what is taken of a notebook, what is refused with which sentence, and that the grader's border holds the same."""

from __future__ import annotations

import importlib
import json
import linecache
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grader.vetting.admit import admit
from labs_lib import registry
from labs_lib.checking import cards, checker, evidence, used
from labs_lib.checking.checker import examine, judge
from labs_lib.checking.evidence import Evidence, Unusable, capture
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding, Verdict
from labs_lib.driving.driver import Lost
from labs_lib.lab import Lab
from labs_lib.registry import Answer, Step

FOLDER = Answer("project", "files", patterns=("*.toml", "src/**/*.py"))
POLICIES = Answer("policies", "state", schema="policies")
STEP = Step("9z.1", "All three", 3, (Answer("double", "definition"), FOLDER, POLICIES), ("a", "b"))
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "workers": {"type": "integer", "maximum": 8}},
        "required": ["name"],
        "additionalProperties": False,
    },
}
CELLS = [
    "",
    "import math",
    "def double(n):\n    return 2 * n",
    "double(4)",
    "from elsewhere import double",
    "def broken(",
]


@pytest.fixture(autouse=True)
def course(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step's checks and its schema, without Spark."""
    checks = ModuleType("exercise_9z")

    def observe(observer: Observer) -> dict[str, Any]:
        doubled: list[Any] = []
        for number in (3, observer.lab.seed):
            with observer.child("double", seconds=5) as child:
                try:
                    answer = child.call("", number)
                    doubled.append(answer.error or answer.value)
                except Lost as lost:
                    doubled.append(f"it {lost}")
        return {"doubled": doubled}

    def judge_it(seen: Evidence) -> Iterator[Finding]:
        doubled = seen.observed["doubled"]
        yield Finding("doubling", doubled == [6, 2 * seen.seed], "twice each number", str(doubled))
        yield Finding("the project", "src/a.py" in seen.answers["project"], "a module a", "none")
        workers = [policy.get("workers") for policy in seen.answers["policies"]]
        yield Finding("the policies", workers == [4], "4 workers", str(workers))

    checks.observe_9z_1, checks.judge_9z_1 = observe, judge_it  # type: ignore[attr-defined]
    monkeypatch.setattr(checker, "_checks", lambda step: checks)
    monkeypatch.setattr(used, "schema_of", lambda step, answer: SCHEMA)
    monkeypatch.setattr(evidence.session, "view_commands", lambda: ())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a project in it."""
    (tmp_path / "work" / "shop" / "src" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    for name in ("pyproject.toml", "src/a.py", "src/deep/b.py", "src/notes.txt", "README.md"):
        Path("shop", name).write_text(f"# {name}")
    return tmp_path / "work"


@pytest.fixture
def lab(here: Path) -> Lab:
    return Lab("09_tiny", 7, here / "lab")


def names(**changed: Any) -> dict[str, Any]:
    return {
        "double": lambda n: 2 * n,
        "project": "shop",
        "policies": [{"name": "small", "workers": 4}],
        "In": CELLS,
        **changed,
    }


def verdict(lab: Lab, **changed: Any) -> Verdict:
    return judge(STEP, examine(STEP, capture(STEP, names(**changed), lab), lab), None)


def test_a_right_answer_of_each_kind_passes_and_its_card_says_what_was_taken(lab: Lab) -> None:
    passed = verdict(lab)
    assert passed.passed, passed
    assert passed.taken == (
        "`double`: 2 lines of your cell, run by themselves",
        "`project`: pyproject.toml, src/a.py, src/deep/b.py",
        "`policies`: 33 bytes of JSON",
    )
    assert "taken for `double`: 2 lines" in cards.text(passed)
    assert "Taken for <code" in cards.html(passed) and "src/deep/b.py" in cards.html(passed)
    assert passed.as_dict()["taken"] == passed.taken
    assert "taken" not in replace(passed, taken=()).as_dict()


def test_the_grader_admits_what_the_notebook_took_and_judges_it_alike(lab: Lab, tmp_path: Path) -> None:
    captured = capture(STEP, names(), lab)
    captured.save(tmp_path)
    admitted = admit(STEP, tmp_path / "9z.1.json", 7, None)
    assert admitted.answers == captured.answers
    assert judge(STEP, examine(STEP, admitted, lab, trusting=False), None).passed


def test_nothing_there_is_no_answer(lab: Lab) -> None:
    assert verdict(lab, double=None, project=..., policies=None).status == "unanswered"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"double": 4}, "`double` should be a function or a class; it is of type int."),
        ({"In": ["import math", "%%time\ndouble = 2"]}, "no cell that was run defines it"),
        ({"In": ["# é\ndouble = 1" + "\n" * 200_000]}, "200,000 is the most"),
        (
            {"In": ["def double(n): return math.floor(2 * n)\nmath.pi"]},
            "NameError: name 'math' is not defined (line 2",
        ),
        (
            {"In": ["import time\ntime.sleep(60)\ndouble = 1"]},
            "its source, run by itself, took longer than 5 s",
        ),
        ({"project": "nowhere"}, "should be the path of a folder that exists; it is 'nowhere'"),
        ({"project": 4}, "should be the path of a folder that exists; it is '4'"),
        ({"project": "shop/README.md"}, "should be the path of a folder that exists"),
        ({"project": "/usr"}, "names a folder outside of your notebook's"),
        ({"project": ".."}, "names a folder outside of your notebook's"),
        ({"project": "shop/src/deep"}, "`project` holds no file like *.toml or src/**/*.py."),
        (
            {"policies": [{"workers": 3}]},
            "form that the task describes: at [0], 'name' is a required property",
        ),
        ({"policies": [{"name": "a", "workers": 9}]}, "at [0].workers, 9 is greater than the maximum of 8"),
        ({"policies": {"name": "a"}}, "describes: {'name': 'a'} is not of type 'array'"),
        ({"policies": [{"name": float("nan")}]}, "at [0].name, None is not of type 'string'"),
        ({"policies": [{"name": object()}]}, "holds of type object, where numbers"),
        ({"policies": [{"name": "x" * 2**20}]}, "bytes as JSON; 1,048,576 is the most"),
    ],
)
def test_bad_input_has_its_own_sentence(lab: Lab, changed: dict[str, Any], said: str) -> None:
    failed = verdict(lab, **changed)
    assert failed.status == "fail" and said in failed.sentence, failed.sentence


def test_the_cell_that_was_run_last_counts(lab: Lab) -> None:
    cells = [*CELLS, "double = lambda n: 3 * n"]
    assert not verdict(lab, In=cells).passed
    assert verdict(lab, In=[*cells, "if True:\n    double = lambda n: n + n", "print(double)"]).passed


def test_a_cell_that_was_run_without_a_history_is_what_the_compiler_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As nbval runs cells."""
    cell = "import math\n\n\nclass Sum:\n    def of(self, a, b):\n        return math.fsum([a, b])\n"
    monkeypatch.setitem(linecache.cache, "<cell 7>", (len(cell), None, cell.splitlines(True), "<cell 7>"))
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(cell, "<cell 7>", "exec"), names)
    assert used.definition("Sum", names["Sum"], [""])["source"] == cell
    with pytest.raises(Unusable, match="no cell that was run defines it"):
        used.definition("Other", names["Sum"], [""])


def test_a_module_that_was_written_counts_as_it_stands_in_its_file(lab: Lab, here: Path) -> None:
    (here / "doubling_of_a_test.py").write_text("def double(n):\n    return n + n\n")
    sys.path.insert(0, str(here))
    try:
        module = importlib.import_module("doubling_of_a_test")
    finally:
        sys.path.remove(str(here))
        sys.modules.pop("doubling_of_a_test", None)
    sys.modules["doubling_of_a_test"] = module
    try:
        passed = verdict(lab, double=module.double, In=["from doubling_of_a_test import double"])
    finally:
        del sys.modules["doubling_of_a_test"]
    assert (
        passed.passed and passed.taken[0] == "`double`: 2 lines of doubling_of_a_test.py, run by themselves"
    )


def test_a_link_is_refused_where_it_would_be_taken_and_not_followed(lab: Lab) -> None:
    secret = Path("secret.py")
    secret.write_text("# not the answer's")
    Path("shop/elsewhere").symlink_to("..")
    Path("shop/src/linked").symlink_to(Path("shop").absolute())
    assert verdict(lab).passed
    Path("shop/src/c.py").symlink_to(secret.absolute())
    assert "src/c.py is a link or no plain file" in verdict(lab).sentence
    Path("shop/src/c.py").unlink()
    os.mkfifo("shop/src/c.py")
    assert "src/c.py is a link or no plain file" in verdict(lab).sentence


def test_files_are_bounded_in_size_number_and_encoding(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("shop/src/c.py").write_bytes(b"\xff\xfe")
    assert "src/c.py is no text in UTF-8" in verdict(lab).sentence
    Path("shop/src/c.py").write_text("#" * (used.FILE_LIMIT + 1))
    assert "src/c.py has 200,001 bytes; 200,000 is the most" in verdict(lab).sentence
    Path("shop/src/c.py").unlink()
    monkeypatch.setattr(used, "FILES", 2)
    assert "holds more than 2 files like *.toml" in verdict(lab).sentence
    monkeypatch.setattr(used, "FILES", 10)
    monkeypatch.setattr(used, "FILES_LIMIT", 20)
    assert "20 is the most together" in verdict(lab).sentence
    monkeypatch.setattr(used, "LOOKS", 4)
    assert "with more than 4 files" in verdict(lab).sentence


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc/x.toml", "a name that can't be taken"),
        ("../x.toml", "a name that can't be taken"),
        ("src/../x.py", "a name that can't be taken"),
        ("src/./x.py", "a name that can't be taken"),
        ("src//x.py", "a name that can't be taken"),
        ("src/x.py/", "a name that can't be taken"),
        ("src\\x.py", "a name that can't be taken"),
        ("src/\x00.py", "a name that can't be taken"),
        ("src/\n.py", "a name that can't be taken"),
        ("src/\u202ex.py", "a name that can't be taken"),
        ("src/" + "x" * 300 + ".py", "a name that can't be taken"),
        ("", "a name that can't be taken"),
        ("x.sh", "x.sh, which is not asked for"),
        ("src/a.py/b.py", "src/a.py/b.py below what is a file itself"),
    ],
)
def test_the_border_refuses_paths_that_no_notebook_writes(path: str, said: str) -> None:
    with pytest.raises(Unusable) as refused:
        used.checked_files(FOLDER, {"src/a.py": "", path: ""})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "captured"),
    [
        *(
            ("double", each)
            for each in (None, 4, "def double(n): pass", {}, {"origin": 4, "source": "x = 1"})
        ),
        *(("double", {"origin": origin, "source": "x = 1"}) for origin in ("../a.py", "a\n.py", None)),
        ("double", {"origin": "", "source": "#" * 200_001}),
        *(("project", each) for each in (None, [], {}, {"src/a.py": 4}, {"src/a.py": "x" * 200_001})),
        ("project", {f"src/{number}.py": "" for number in range(201)}),
        *(("policies", each) for each in (None, 4, [{"name": 4}], [{"name": "a", "more": 1}])),
    ],
)
def test_the_border_refuses_evidence_that_no_notebook_writes(
    name: str, captured: Any, lab: Lab, tmp_path: Path
) -> None:
    taken = capture(STEP, names(), lab)
    replace(taken, answers={**taken.answers, name: captured}).save(tmp_path)
    admitted = admit(STEP, tmp_path / "9z.1.json", 7, None)
    assert list(admitted.problems) == [name] and f"`{name}`" in admitted.problems[name]


def test_what_was_taken_can_be_laid_again(lab: Lab, tmp_path: Path) -> None:
    taken = used.files(FOLDER, Path("shop"), lab.folder.parent)
    used.lay(taken, tmp_path / "laid")
    assert used.files(FOLDER, str(tmp_path / "laid"), tmp_path) == taken
    assert json.loads(json.dumps(taken)) == taken


def test_kinds_have_what_they_need_in_the_registry(tmp_path: Path) -> None:
    row = registry.REGISTRY_FILE.read_text()
    definition = '{ name = "CircuitBreaker", kind = "definition" }'
    assert row.count(definition) == 1
    for wrong, said in (
        ('{ name = "x", kind = "files" }', "'patterns' is for 'files', which needs it"),
        ('{ name = "x", kind = "state" }', "'schema' is for 'state', which needs it"),
        ('{ name = "x", kind = "value", schema = "s" }', "'schema' is for 'state'"),
        ('{ name = "x", kind = "function" }', "kinds are"),
    ):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.toml"
        file.write_text(row.replace(definition, wrong))
        with pytest.raises(registry.LabsError, match=said):
            registry.load(file)
