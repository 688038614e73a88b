"""Step 3a.4, one command for all tests: run on five branches of a project like the learner's, each with something else in it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd.checks.drawn import draw
from labs_lib.cicd.checks.workshop import Workshop, opened
from labs_lib.cicd.project import TEMPLATE
from labs_lib.driving.driver import Lost

SECONDS = 60.0  # for one branch
# Of the plugins that are installed here for the course itself, a branch sees none: they take seconds to load, ten times over.
ENVIRONMENT = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "pytest_cov.plugin",
}
BRANCHES = ("all well", "a red unit test", "a red integration test", "a syntax error", "no tests")
PACKAGE = {
    "src/retail/__init__.py": '"""A branch of the project."""\n',
    "src/retail/prices.py": '''"""Prices."""


def label(cents: int, member: bool) -> str:
    """What the label at the shelf says."""
    if member:
        cents = cents - cents // 10
    if cents > 100_00:
        return "ask us"
    return f"{cents / 100:.2f}"
''',
}


@dataclass
class Branch:
    """A branch: its tests by suite, and which of them are red."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    tests: dict[str, list[str]] = field(default_factory=dict)
    red: str = ""


def branches(chance: np.random.Generator) -> list[Branch]:
    """The five, with names of tests that nobody could know."""
    found = []
    for name in BRANCHES:
        branch = Branch(name)
        for suite in ("unit", "integration"):
            tokens = [f"{int(number):05x}" for number in chance.choice(0xFFFFF, 3, replace=False)]
            names = [f"test_{token}" for token in tokens]
            red = names[int(chance.integers(3))] if name == f"a red {suite} test" else ""
            branch.red = branch.red or red
            if name == "no tests":
                text, names = "from retail.prices import label\n\nLABEL = label(100, True)\n", []
            else:
                text = _tests(suite, names, red, chance)
            if name == "a syntax error" and suite == "unit":
                text += "\n\ndef test_of_tomorrow(:\n    pass\n"
            branch.files[f"tests/{suite}/test_{suite}_{tokens[0]}.py"] = text
            branch.tests[suite] = names
        found.append(branch)
    return found


def _tests(suite: str, names: list[str], red: str, chance: np.random.Generator) -> str:
    text = "from pathlib import Path\n\nfrom retail.prices import label\n"
    for name in names:
        cents = int(chance.integers(1, 9000)) * (1 if suite == "unit" else 10)
        member = bool(chance.integers(0, 2))
        price = cents - cents // 10 if member else cents
        said = "ask us" if price > 100_00 else f"{price / 100:.2f}"
        text += f'''

def {name}():
    with Path("{{trace}}").open("a") as trace:
        trace.write("{suite} {name}\\n")
    assert label({cents}, {member}) == "{said + "!" if name == red else said}"
'''
    return text.replace("{trace}", "../trace.txt")


def observe_3a_4(observer: Observer) -> dict[str, Any]:
    """What the command does on each branch."""
    chance = draw(observer, "branches")
    handed_in = {**TEMPLATE, **observer.answer("automation")}
    handed_in = {path: text for path, text in handed_in.items() if not path.startswith(("src/", "tests/"))}
    del handed_in["conftest.py"]
    drawn = branches(chance)
    seen: dict[str, Any] = {}
    try:
        with opened(observer, seconds=SECONDS + 10) as shop:
            for place in chance.permutation(len(drawn)):
                branch = drawn[int(place)]
                seen[branch.name] = _tried(shop, f"branch{place}/retail", branch, handed_in)
    except Lost as lost:
        return {"lost": str(lost)}
    return seen


def _tried(shop: Workshop, folder: str, branch: Branch, handed_in: dict[str, str]) -> dict[str, Any]:
    shop.lay(folder, {**handed_in, **PACKAGE, **branch.files})
    ran = shop.run(["python", "run_tests.py"], folder, ENVIRONMENT, SECONDS)
    trace = [line.split() for line in (shop.read(f"{folder}/../trace.txt") or "").splitlines()][:50]
    reports = {
        name: shop.read(f"{folder}/reports/{name}.xml") or "" for name in ("unit", "integration", "coverage")
    }
    told = {name: _told(reports[name]) for name in ("unit", "integration")}
    return {
        "code": ran.code,
        "said": ran.said,
        "suites": [line[0] for line in trace if line],
        "listed": {suite: set(branch.tests[suite]) <= set(told[suite]) for suite in told},
        "red": bool(branch.red) and any(each.get(branch.red) for each in told.values()),
        "errors": any(wrong for each in told.values() for wrong in each.values()),
        "coverage": _coverage(reports["coverage"]),
    }


def _parsed(text: str) -> Any:
    """A report's tree, None for what is no plain XML: it comes from where a stranger's code ran."""
    if not text or "<!DOCTYPE" in text.replace("<!DOCTYPE coverage", "") or "<!ENTITY" in text:
        return None
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None


def _told(text: str) -> dict[str, bool]:
    """The tests that a JUnit report lists: whether each failed or ended in an error."""
    tree = _parsed(text)
    if tree is None:
        return {}
    return {
        str(case.get("name"))[:120]: case.find("failure") is not None or case.find("error") is not None
        for case in list(tree.iter("testcase"))[:200]
    }


def _coverage(text: str) -> str:
    """What a coverage report says of the branch's module: "branches", "lines", or "" for nothing."""
    tree = _parsed(text)
    of_it = (
        []
        if tree is None
        else [each for each in tree.iter("class") if str(each.get("filename")).endswith("prices.py")]
    )
    if not of_it:
        return ""
    with_branches = any(line.get("branch") == "true" for line in of_it[0].iter("line"))
    return "branches" if with_branches else "lines"


def judge_3a_4(evidence: Evidence) -> Iterator[Finding]:
    """Exit codes, order and reports."""
    seen = evidence.observed
    if lost := seen.get("lost"):
        yield Finding(
            "the command",
            False,
            "python run_tests.py comes to an end on each branch",
            f"the process that ran it {lost}",
        )
        return
    well, codes = seen["all well"], {name: each["code"] for name, each in seen.items()}
    both = {"unit", "integration"} <= set(well["suites"])
    yield Finding(
        "a good branch",
        codes["all well"] == 0 and both,
        "exit code 0, and all tests of tests/unit and tests/integration ran",
        "so it is"
        if codes["all well"] == 0 and both
        else f"exit code {codes['all well']}, ran: {', '.join(sorted(set(well['suites']))) or 'nothing'}; it said: {well['said']}",
    )
    bad = [name for name in BRANCHES[1:] if codes[name] == 0 or codes[name] is None]
    yield Finding(
        "bad branches",
        not bad and codes["all well"] == 0,
        "another exit code than 0 for a red unit test, a red integration test, a syntax error, and where no test is collected",
        f"0 for {', '.join(bad)}"
        if bad
        else "so it is"
        if codes["all well"] == 0
        else "it isn't 0 for a good branch either",
        "A script ends with 0 unless it says otherwise: pass on what pytest's exit code was.",
        weight=2,
    )
    first = well["suites"] == sorted(well["suites"], key=["unit", "integration"].index) if both else False
    begun = "integration" in seen["a red unit test"]["suites"]
    yield Finding(
        "fast tests first",
        both and first and not begun,
        "unit tests before integration tests, which aren't begun when a unit test is red",
        "so it is"
        if both and first and not begun
        else "integration tests run though a unit test was red"
        if begun
        else "another order",
    )
    listed = all(well["listed"].values())
    red = all(seen[name]["red"] for name in BRANCHES[1:3])
    broken = seen["a syntax error"]["errors"]
    yield Finding(
        "JUnit reports",
        listed and red and broken,
        "reports/unit.xml and reports/integration.xml list the tests, with what failed and what couldn't be collected",
        "so it is"
        if listed and red and broken
        else "tests are missing"
        if not listed
        else "a red test isn't told"
        if not red
        else "a file that couldn't be read isn't told",
    )
    yield Finding(
        "coverage",
        well["coverage"] == "branches",
        "reports/coverage.xml has the package's modules, with branches",
        {"branches": "so it has", "lines": "it has lines only", "": "it has none of them"}[well["coverage"]],
        "Coverage has to be measured in all of the runs, and added up.",
    )
