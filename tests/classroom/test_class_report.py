"""The report on a class: its figures are the class's, and no learner's text does anything but stand there."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from grader.classroom import class_report
from grader.classroom.class_report import Result
from labs_lib import registry
from labs_lib.checking.verdict import Finding, Status, Verdict

MODULE = registry.module("01_optimization")
STEPS = list(registry.steps(MODULE))
TOTAL = sum(step.points for step in STEPS)
FOLDER = f"build/grading-report/{MODULE.name}"
# A letter per step: passed, half the points, failed, unanswered, blocked.
CLASS = {
    "ada": "pppppppppp",
    "Bob": "ppphppfpuu",
    "cyd": "pffbuuuuuu",
    "dan": "hhhhhhhhhh",
    "eve": "ppppphhffh",
    "fay": "fpfbppfffp",
}
STATUS: dict[str, Status] = {"p": "pass", "h": "partial", "f": "fail", "u": "unanswered", "b": "blocked"}


def points(letter: str, most: int) -> float:
    return {"p": most, "h": most / 2}.get(letter, 0.0)


def seconds(student: str, place: int) -> float:
    return (1 + sorted(CLASS).index(student)) ** 2 / 8 + place


def result(
    student: str, letters: str, notes: tuple[str, ...] = (), findings: tuple[Finding, ...] = ()
) -> Result:
    verdicts = [
        Verdict(step.id, step.title, STATUS[letter], points(letter, step.points), step.points,
                f"The sentence of {step.id}.", findings)
        for letter, step in zip(letters, STEPS, strict=True)
    ]  # fmt: skip
    return Result(student, tuple(verdicts), notes, seconds=60)


def a_class() -> list[Result]:
    return [
        Result(
            student,
            tuple(v.timed(seconds(student, n)) for n, v in enumerate(result(student, letters).verdicts)),
            seconds=10 * len(student),
        )
        for student, letters in CLASS.items()
    ]


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def text(page: BeautifulSoup, selector: str) -> str:
    found = page.select_one(selector)
    assert found is not None, selector
    return found.get_text().strip()


def rows(page: BeautifulSoup, table: str) -> list[list[str]]:
    return [[cell.get_text().strip() for cell in row("td")] for row in page.select(f"#{table} tbody tr")]


def picture(page: BeautifulSoup, caption: str) -> Tag:
    return next(f for f in page("figure") if caption in f.figcaption.get_text()).svg


def bars(drawn: Tag, *colours: str) -> list[list[float]]:
    """Corners, x and y by turns, of the bars in these colours; samples in a legend are none."""
    fills = {f"fill: var(--{colour})" for colour in colours}
    paths = [path for path in drawn("path", attrs={"clip-path": True}) if path.get("style") in fills]
    return [[float(number) for number in re.findall(r"[\d.]+", str(path["d"]))] for path in paths]


def test_the_figures_are_those_of_the_class(tmp_path: Path) -> None:
    page = soup(class_report.write(tmp_path, MODULE, a_class()))
    scores = {
        student: sum(points(letter, step.points) for letter, step in zip(letters, STEPS, strict=True))
        for student, letters in CLASS.items()
    }
    assert text(page, "#count") == "6"
    assert text(page, "#mean") == f"{statistics.mean(scores.values()):.1f}"
    assert text(page, "#median") == f"{statistics.median(scores.values()):.1f}"
    expected = []
    for place, step in enumerate(STEPS):
        letters = [answers[place] for answers in CLASS.values()]
        earned = sum(points(letter, step.points) for letter in letters) / (step.points * len(CLASS))
        times = [seconds(student, place) for student in CLASS]
        p95 = statistics.quantiles(times, n=20, method="inclusive")[18]
        counts = [str(letters.count(letter)) for letter in "phfub"]
        expected.append(
            [step.id, step.title, f"{earned:.0%}", *counts, f"{statistics.median(times):.2f}", f"{p95:.2f}"]
        )
    assert rows(page, "steps") == expected
    marks = {"p": "✔", "h": "◐", "f": "✘", "u": "○", "b": "⋯"}
    assert rows(page, "learners") == [
        [
            student,
            f"{scores[student]:g}",
            *[
                f"{marks[letter]} {points(letter, step.points):g}"
                for letter, step in zip(CLASS[student], STEPS, strict=True)
            ],
        ]
        for student in ["ada", "Bob", "cyd", "dan", "eve", "fay"]
    ]


def test_the_pictures_show_the_same_figures(tmp_path: Path) -> None:
    page = soup(class_report.write(tmp_path, MODULE, a_class()))
    table = {row[0]: row for row in rows(page, "steps")}
    labels = [label.get_text() for label in picture(page, "Points earned")("text")]
    hardest = [label.split()[0] for label in labels if re.match(r"1[ab]\.\d ", label)][::-1]  # drawn upwards
    assert hardest == sorted(table, key=lambda step: (float(table[step][2][:-1]), step))
    assert [label for label in labels if label.endswith("%")][-10:] == [table[s][2] for s in hardest[::-1]]
    counts = [label for label in picture(page, "Outcomes")("text") if "var(--paper)" in str(label["style"])]
    assert [label.get_text() for label in counts] == [
        table[step][column] for column in range(3, 8) for step in hardest[::-1] if table[step][column] != "0"
    ]
    for row in {bar[1] for bar in bars(picture(page, "Outcomes"), "pass")}:
        ends = [bar[0::2] for bar in bars(picture(page, "Outcomes"), *class_report.WORDS) if bar[1] == row]
        assert [max(end) for end in ends[:-1]] == pytest.approx([min(end) for end in ends[1:]])
    heights = [bar[1] - bar[5] for bar in bars(picture(page, "Scores"), "accent")]
    students = [int(result.score) for result in a_class()]
    expected = [students.count(score) for score in range(TOTAL + 1)]
    assert [round(height / max(heights) * max(expected)) for height in heights] == expected


def test_a_learners_page_has_their_verdicts(tmp_path: Path) -> None:
    findings = (
        Finding("`rows` are right", False, "the rows asked for", "others", "Read the task again."),
        Finding("the join", True, "a broadcast", "BroadcastHashJoin", "not needed"),
    )
    class_report.write(tmp_path, MODULE, [result("ada", CLASS["Bob"], ("It was stopped.",), findings)])
    page = soup(tmp_path / FOLDER / "learners/1.html")
    assert text(page, "h1") == "ada" and text(page, "#score") == f"{a_class()[1].score:g}"
    assert "It was stopped." in text(page, ".loud")
    articles = page("article")
    assert [article["id"] for article in articles] == [step.id for step in STEPS]
    assert "◐ partial" in articles[3].get_text() and "1 of 2 points" in articles[3].get_text()
    assert "The sentence of 1a.4." in articles[3].get_text()
    assert articles[0].code.get_text() == "rows"
    cells = [cell.get_text().strip() for cell in articles[0]("td")]
    assert cells[:2] == ["✘ rows are right", "the rows asked for"]
    assert cells[2].startswith("others") and "Read the task again." in cells[2]
    assert cells[3:] == ["✔ the join", "a broadcast", "BroadcastHashJoin"]
    assert page.select_one('a[href="../index.html"]')


def test_wrong_findings_are_counted_by_learner(tmp_path: Path) -> None:
    def finding(name: str, found: str, ok: bool = False) -> Finding:
        return Finding(name, ok, "the right one", found)

    def one(student: str, *findings: Finding) -> Result:
        step = STEPS[0]
        return Result(student, (Verdict(step.id, step.title, "fail", 0, step.points, "No.", findings),))

    many = [finding(f"rare {number:02d}", "x") for number in range(20)]
    report = [
        one("a", finding("join", "sort"), finding("join", "sort"), finding("rows", "few")),
        one("b", finding("join", "hash"), finding("rows", "few", ok=True)),
        one("c", finding("join", "sort"), finding("rows", "none")),
        one("d", *many),
    ]
    table = rows(soup(class_report.write(tmp_path, MODULE, report)), "wrong")
    assert table[0] == ["3", "1a.1", "join", "the right one", "sort (2)"]
    assert table[1] == ["2", "1a.1", "rows", "the right one", "few (1)"]
    assert [row[2] for row in table[2:]] == [f"rare {number:02d}" for number in range(10)]  # twelve in all


def test_submissions_that_were_refused_or_stopped_stand_on_top_and_in_no_average(tmp_path: Path) -> None:
    refused = Result("zed", notes=("It is a zip.",), refused="The file is no notebook.")
    index = class_report.write(
        tmp_path, MODULE, [*a_class(), refused, result("gus", CLASS["ada"], ("It ran too long.",))]
    )
    page = soup(index)
    first, second = page.body("section")
    above = [tag for tag in first.find_all_previous() if tag.name in {"figure", "table", "dl"}]
    assert not above and first.get_text().split("\n")[1] == "1 not graded"
    assert "zed: The file is no notebook. It is a zip." in first.get_text()
    assert "gus: It ran too long." in second.get_text()
    scores = [result.score for result in a_class()] + [TOTAL]
    assert text(page, "#count") == "8" and text(page, "#mean") == f"{statistics.mean(scores):.1f}"
    assert rows(page, "steps")[0][3:8] == ["5", "1", "1", "0", "0"]
    assert rows(page, "learners")[-1][:2] == ["zed", "not graded"]
    own = soup(index.parent / "learners/8.html")
    assert "The file is no notebook." in text(own, ".loud") and not own("article")


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "'><svg/onload=alert(1)>",
    "../../../escape",
    "/tmp/escape",
    "..",
    "red\x1b[31m\x07\x00",
    "two\nlines\r",
    "\u202egnp.exe\u2066",
    "undecodable \udcff",
    "{{ 7 * 7 }}{% raw %}",
    "`</code><script>`",
    "&lt;b&gt;",
    "x" * 100_000,
]


def assert_tame(path: Path) -> BeautifulSoup:
    """Nothing on the page runs, loads, leads elsewhere, or changes how other text reads."""
    raw = path.read_text(encoding="utf-8")
    assert all(c.isprintable() or c == "\n" for c in raw)
    page = soup(path)
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "nav",
        "section",
        "dl",
        "div",
        "dt",
        "dd",
        "small",
    }
    allowed |= {
        "h1",
        "h2",
        "h3",
        "p",
        "a",
        "b",
        "bdi",
        "code",
        "span",
        "ul",
        "li",
        "figure",
        "figcaption",
        "article",
    }
    allowed |= {"header", "details", "summary", "table", "thead", "tbody", "tr", "th", "td"}
    allowed |= {"svg", "g", "path", "defs", "use", "text", "clippath", "rect"}  # matplotlib's
    assert {tag.name for tag in page(True)} <= allowed
    for tag in page(True):
        assert not [name for name in tag.attrs if name.startswith("on") or name == "src"]
        assert re.fullmatch(r"(\.\./index|(learners/)?\d+)\.html|#\w+", str(tag.get("href", "1.html")))
    names = [tag["id"] for tag in page(id=True)]
    assert len(names) == len(set(names))
    meta = page.select_one("meta[http-equiv=Content-Security-Policy]")
    assert meta is not None and "default-src 'none'" in str(meta["content"])
    return page


@pytest.mark.parametrize("refused", [False, True])
def test_hostile_text_only_stands_there(tmp_path: Path, refused: bool) -> None:
    root = tmp_path / "course"
    root.mkdir()
    results = [
        Result(words, refused=words)
        if refused
        else result(words, CLASS["Bob"], (words, words), (Finding(words, False, words, words, words),))
        for words in HOSTILE
    ]
    index = class_report.write(root, MODULE, results)
    pages = {index.parent / "learners" / f"{number}.html" for number in range(1, len(HOSTILE) + 1)}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {index, *pages}
    for page in pages:
        assert_tame(page)
        assert len(page.read_text()) < 100_000
    names = [
        link.get_text() for link in assert_tame(index).select("#learners td:first-child a[href*=learners]")
    ]
    for words in HOSTILE[:7] + HOSTILE[11:14]:
        assert words in names
    assert {r"red\x1b[31m\x07\x00", r"two\nlines\r", r"\u202egnp.exe\u2066", r"undecodable \udcff"} <= set(
        names
    )
    assert "x" * 500 + "… (99,500 more characters)" in names
    assert "x" * 501 not in index.read_text()


def test_absurd_times_count_as_missing(tmp_path: Path) -> None:
    times = [float("nan"), float("inf"), -1.0, 1e300, 2.0]
    results = [
        Result(str(number), tuple(v.timed(time) for v in result("", CLASS["ada"]).verdicts), seconds=1)
        for number, time in enumerate(times)
    ]
    page = soup(class_report.write(tmp_path, MODULE, results))
    assert {tuple(row[8:]) for row in rows(page, "steps")} == {("2.00", "2.00")}


def test_a_page_that_is_open_stays_whole_and_pages_of_learners_who_left_go(tmp_path: Path) -> None:
    index = class_report.write(tmp_path, MODULE, a_class())
    assert index.is_absolute() and index == (tmp_path / FOLDER / "index.html").resolve()
    before = index.read_text()
    with index.open() as reader:
        class_report.write(tmp_path, MODULE, a_class()[:2])
        assert reader.read() == before != index.read_text()
    assert index.parent.stat().st_mode & 0o077 == 0  # grades are nobody else's business
    assert sorted(path.name for path in index.parent.rglob("*")) == [
        "1.html",
        "2.html",
        "index.html",
        "learners",
    ]


@pytest.mark.parametrize("results", [[], [Result("ada", refused="No notebook.")]])
def test_a_class_with_nothing_to_average_gets_a_page(tmp_path: Path, results: list[Result]) -> None:
    page = assert_tame(class_report.write(tmp_path, MODULE, results))
    assert text(page, "#count") == str(len(results))
    assert ("No submission could be graded" if results else "There are no submissions") in page.get_text()
    assert not page("figure") and not page.select("#steps")


def test_a_thousand_learners_get_a_page_each(tmp_path: Path) -> None:
    letters = list(CLASS.values())
    index = class_report.write(
        tmp_path, MODULE, [result(f"student {n:03d}", letters[n % 6]) for n in range(1000)]
    )
    page = soup(index)
    links = [str(link["href"]) for link in page.select("#learners a")]
    assert len(links) == len(set(links)) == 1000 == len(list((index.parent / "learners").iterdir()))
    assert text(page, "#count") == "1000"
    assert text(soup(index.parent / links[566]), "h1") == "student 566"


def test_an_answer_that_no_check_could_look_at_is_counted_among_the_wrong_ones(tmp_path: Path) -> None:
    page = soup(
        class_report.write(tmp_path, MODULE, [result("ada", "fppppppppp"), result("bob", "fppppppppp")])
    )
    assert [row[:3] for row in rows(page, "wrong")] == [["2", "1a.1", "the answer as a whole"]]
    assert "The sentence of 1a.1." in text(page, "#wrong")
