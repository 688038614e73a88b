"""The instructor's report on a graded class: an index and a page per learner, each one file without scripts.

Names of folders and what checks found come from learners, so the templates print nothing but through `visible`.
"""

from __future__ import annotations

import datetime
import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from grader.course import build
from labs_lib import registry
from labs_lib.checking.cards import MARKS
from labs_lib.checking.verdict import Finding, Status, Verdict
from labs_lib.registry import Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH = 500  # characters of any one text that are shown
WRONG_FINDINGS = 12
WORDS: dict[str, str] = dict(
    zip(get_args(Status), ("passed", "partial", "failed", "unanswered", "blocked"), strict=True)
)
# Pictures are drawn in these; the page has a variable for each, with a value for light and one for dark.
COLOURS = {name: f"#c0de{n:02d}" for n, name in enumerate((*WORDS, "ink", "line", "paper", "accent"))}


@dataclass(frozen=True)
class Result:
    """How one learner's submission of a module fared; `verdicts` has one per step, or none if it was refused.

    `student` is the id in the gradebook, `name` the folder's below submitted/ where that is no id, `notes` are sentences about the run, `seconds` is the wall
    time of running and judging, and `refused` is a sentence that says why the file could not be graded at all.
    """

    student: str
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    refused: str = ""
    name: str = ""

    @property
    def called(self) -> str:
        """The learner as people know them: the name, with the id behind it; or the id."""
        return f"{self.name} ({self.student})" if self.name else self.student

    @property
    def score(self) -> float:
        """Points over all steps."""
        return sum(verdict.points for verdict in self.verdicts)


def write(root: Path, module: Module, results: Sequence[Result]) -> Path:
    """Write build/grading-report/<module>/index.html and learners/<n>.html below `root`; return the index's path.

    Learners' pages that only an earlier report had are removed. A refused submission counts in no figure but its own.
    """
    folder = (root / "build" / "grading-report" / module.name).resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # grades are nobody else's business
    learners = list(enumerate(sorted(results, key=lambda r: (r.called.casefold(), r.called)), start=1))
    graded = [result for _, result in learners if not result.refused]
    scores = pd.Series([result.score for result in graded], dtype=float)
    steps = by_step(module, graded)
    templates = _environment()
    templates.globals |= {"module": module, "learners": learners, "scores": scores, "words": WORDS}
    templates.globals |= {"marks": MARKS, "total": int(steps["points"].sum())}
    templates.globals["when"] = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    page = templates.get_template("learner.html.j2")
    pages = {number: folder / "learners" / f"{number}.html" for number, _ in learners}
    for number, result in learners:
        build.replace(pages[number], page.render(number=number, result=result))
    index = templates.get_template("class.html.j2").render(
        steps=steps,
        wrong=wrong_findings(graded),
        seconds=pd.Series([result.seconds for result in graded]).median(),
        pictures=_pictures(scores, steps) if graded else {},
    )
    build.replace(folder / "index.html", index)
    for path in set((folder / "learners").glob("*.html")) - set(pages.values()):
        path.unlink()
    return folder / "index.html"


def by_step(module: Module, graded: Sequence[Result]) -> pd.DataFrame:
    """A row per step: title, points, share of them earned by the class, learners by status, seconds of judging."""
    steps = pd.DataFrame(map(vars, registry.steps(module))).set_index("id")[["title", "points"]]
    rows = [vars(verdict) for result in graded for verdict in result.verdicts]
    verdicts = pd.DataFrame(rows, columns=["step", "status", "points", "seconds"])
    verdicts = verdicts.astype({"points": float, "seconds": float})
    # Times come out of a process that reads hostile data; what is none (NaN, or longer than a day) counts as missing.
    verdicts["seconds"] = verdicts["seconds"].where(verdicts["seconds"].between(0, 86_400))
    groups = verdicts.groupby("step")
    counts = pd.crosstab(verdicts["step"], verdicts["status"])
    steps[list(WORDS)] = counts.reindex(index=steps.index, columns=list(WORDS), fill_value=0)
    steps["share"] = groups["points"].mean() / steps["points"]
    steps["median"] = groups["seconds"].median()
    steps["p95"] = groups["seconds"].quantile(0.95)
    return steps


def wrong_findings(graded: Sequence[Result]) -> list[tuple[str, Finding, int, str, int]]:
    """The commonest: step, finding, how many learners have it, what was found most often and with how many."""
    wrong: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for result in graded:
        # A learner counts once, however often a check names the same thing.
        own = {(v.step, f.name): f for v in result.verdicts for f in reversed(_wrong(v))}
        for key, finding in own.items():
            wrong[key].append(finding)
    ranked = sorted(wrong.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        (step, findings[0], len(findings), *Counter(finding.found for finding in findings).most_common(1)[0])
        for (step, _), findings in ranked[:WRONG_FINDINGS]
    ]


def _wrong(verdict: Verdict) -> list[Finding]:
    """What a check found wrong; an answer that it could not look at is wrong as a whole."""
    if verdict.status == "fail" and not verdict.findings:
        return [Finding("the answer as a whole", False, "one that the check can look at", verdict.sentence)]
    return [finding for finding in verdict.findings if not finding.ok]


def visible(value: object) -> Markup:
    """Text as it may stand on a page: escaped, cut, and an escape for what does not print or turns text around."""
    if isinstance(value, Markup):
        return value
    text = str(value)
    cut = text[:LENGTH]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    return escape(cut if len(text) <= LENGTH else f"{cut}… ({len(text) - LENGTH:,} more characters)")


def prose(text: str) -> Markup:
    """Visible text that does not turn its neighbours around, with code where a check's sentence has backticks."""
    # A plain string, for Markup would escape the tags that sub puts in; what is between them is escaped already.
    return Markup("<bdi>" + re.sub("`([^`]+)`", r"<code>\1</code>", str(visible(text))) + "</bdi>")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("grader.classroom"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
    )
    environment.filters["prose"] = prose
    return environment


def _pictures(scores: pd.Series, steps: pd.DataFrame) -> dict[str, Markup]:
    """Pictures by name. They show numbers and the course's own titles, never a text of a learner's."""
    import matplotlib  # two seconds to import, which the other commands are spared
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    bare = ("axes.spines.top", "axes.spines.right", "ytick.left", "legend.frameon")
    look: dict[Any, Any] = dict.fromkeys(ink, COLOURS["ink"]) | dict.fromkeys(bare, False)
    steps = steps.set_axis([f"{step}  {title}" for step, title in steps["title"].items()])[::-1]  # bars go up
    hard = steps.sort_values("share", ascending=False, kind="stable")
    ends = hard[list(WORDS)].cumsum(axis=1)
    total, height = int(steps["points"].sum()), 0.8 + 0.24 * max(len(steps), 8)
    with matplotlib.rc_context(look | {"font.size": 9, "legend.fontsize": 8, "svg.fonttype": "none"}):
        names = ("scores", "share", "status", "seconds")
        drawn = {name: Figure((5, height), facecolor="none", layout="constrained") for name in names}
        scored, earned, fared, timed = (figure.add_subplot(facecolor="none") for figure in drawn.values())
        scored.hist(scores, range(total + 2), align="left", rwidth=0.9, color=COLOURS["accent"])
        scored.axvline(scores.median(), color=COLOURS["ink"], linestyle=":", label="median")
        scored.set(xlabel=f"points of {total}, half points rounded down", ylabel="learners")
        scored.yaxis.set_major_locator(MaxNLocator(integer=True))
        bars = earned.barh(hard.index, hard["share"], color=COLOURS["accent"])
        earned.bar_label(bars, fmt="{:.0%}", padding=3)
        earned.set(xlabel="share of the points that the class could earn", xlim=(0, 1.15))
        earned.xaxis.set_major_formatter(PercentFormatter(1))
        for status, word in WORDS.items():
            left = ends[status] - hard[status]
            bars = fared.barh(hard.index, hard[status], left=left, color=COLOURS[status], label=word)
            seen = [f"{count}" if count > len(scores) / 20 else "" for count in hard[status].tolist()]
            fared.bar_label(bars, seen, label_type="center", color=COLOURS["paper"], fontsize=8)
        fared.set(xlabel="learners", xlim=(0, len(scores)))
        for column, colour, label in (("p95", "line", "95th percentile"), ("median", "accent", "median")):
            timed.barh(steps.index, steps[column], color=COLOURS[colour], label=label)
        timed.set(xlabel="seconds", xlim=(0, None))
        for name in ("scores", "status", "seconds"):
            drawn[name].legend(loc="outside upper center", ncols=5, handlelength=1)
        return {name: _inline(figure) for name, figure in drawn.items()}


def _inline(figure: Figure) -> Markup:
    """A figure as an SVG element that takes its colours from the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(["Creator", "Date", "Format", "Type"]))
    # Ids of groups would come again in the next picture.
    svg = re.sub(r' id="[\w.]+_\d+"', "", buffer.getvalue())
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return Markup(svg[svg.index("<svg") :])
