"""What the notebook's card accepts, grading accepts: answers to exercise 1a through both ways, and the verdicts are the same.

All of them are tried in `make attacks`; `make test` draws some, under the seed that it prints.

The card's way is the check in the notebook's session. Grading's is what a box leaves (evidence, tables, what was kept for plans), taken
and judged by grader.judging.judge_inside on a server of its own, one submission after the other.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.classroom import AFTER, EXERCISE, LESSON
from grader.course import paths
from grader.course.build import parse
from grader.course.notebook import role_of
from grader.judging.submission import Ran
from grader.rehearsal.own_server import own_server
from grader.sandbox.runner import Ended
from labs_lib import registry
from labs_lib.checking import keep
from labs_lib.checking.checker import blame_earlier_step, examine, judge
from labs_lib.checking.evidence import Evidence, capture
from labs_lib.checking.verdict import Verdict
from labs_lib.engine import session

pytestmark = [pytest.mark.ledger, pytest.mark.alone]

HERE = Path(__file__).resolve().parents[1]
MODULE = registry.module("01_optimization")
STEPS = registry.exercise_of("1a.1").steps
DRAWN = 3  # cases in `make test`, of steps whose solution takes seconds
QUICK = ("1a.2", "1a.3")
PATIENCE = 120.0  # seconds for a step, and for the judge to come to its end of a submission

Case = tuple[str, str, float]  # a step, its code, and the share of the points that it earns either way

# The hot keys over some counted lines, in SQL.
HOT = """
JOIN = {"operator": "SortMergeJoin", "keys": ["product_id", "week"]}
shuffle_join = JOIN
COUNT = "SELECT product_id, count(*) AS lines FROM transactions GROUP BY product_id"
counted = lambda source: spark.sql(f"WITH whole AS (SELECT avg(lines) AS mean, sum(lines) AS total FROM {source}) "
    f"SELECT product_id, lines, lines / total AS share FROM {source}, whole WHERE lines >= 100 * mean")
"""
TUNED = """
tuned = (
    {big}.join(F.broadcast(products.select("product_id", "department")), "product_id")
    .join(F.broadcast(promotions.groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times"))), ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.sum("times").alias("exposures"), F.sum(F.col("times") * F.col("sales_value")).alias("sales"))
)
"""
# By what the answer uses.
CASES: dict[str, Case] = {
    "a temporary view whose SQL begins with a comment": (
        "1a.2",
        HOT
        + 'spark.sql("-- by product\\nCREATE OR REPLACE TEMPORARY VIEW c1 AS " + COUNT); hot_keys = counted("c1")',
        1,
    ),
    "a permanent view": (
        "1a.2",
        HOT + 'spark.sql("CREATE VIEW c2 AS " + COUNT); hot_keys = counted("c2")',
        1,
    ),
    "CACHE TABLE AS": ("1a.2", HOT + 'spark.sql("CACHE TABLE c3 AS " + COUNT); hot_keys = counted("c3")', 1),
    "a global temporary view": (
        "1a.2",
        HOT
        + 'spark.sql("CREATE GLOBAL TEMPORARY VIEW c4 AS " + COUNT); hot_keys = counted("global_temp.c4")',
        1,
    ),
    "a global temporary view of a frame": (
        "1a.2",
        HOT + 'spark.sql(COUNT).createOrReplaceGlobalTempView("c5"); hot_keys = counted("global_temp.c5")',
        1,
    ),
    "a view dropped, and another of its name": (
        "1a.2",
        HOT
        + 'spark.sql("CREATE TEMP VIEW c6 AS SELECT 1 AS product_id, 2 AS lines"); spark.catalog.dropTempView("c6")\n'
        'spark.sql("CREATE TEMP VIEW c6 AS " + COUNT); hot_keys = counted("c6")',
        1,
    ),
    "a view in a database of its own": (
        "1a.2",
        HOT
        + 'spark.sql("CREATE SCHEMA IF NOT EXISTS views"); spark.sql("CREATE OR REPLACE VIEW views.c7 AS " + COUNT); hot_keys = counted("views.c7")',
        1,
    ),
    "a read by path": (
        "1a.3",
        TUNED.format(big='spark.read.format("delta").load(str(lab.path("transactions")))'),
        1,
    ),
    "a read by path in SQL": (
        "1a.2",
        HOT
        + "COUNT = f\"SELECT product_id, count(*) AS lines FROM delta.`{lab.path('transactions')}` GROUP BY product_id\"\n"
        'spark.sql("CREATE OR REPLACE TEMP VIEW c8 AS " + COUNT); hot_keys = counted("c8")',
        1,
    ),
    "a table of the lab's database": (
        "1a.2",
        HOT + 'spark.sql(COUNT).write.saveAsTable("c9"); hot_keys = counted("c9")',
        1,
    ),
    "a table in a database of its own": (
        "1a.2",
        HOT
        + 'spark.sql("CREATE DATABASE IF NOT EXISTS mine"); spark.sql(COUNT).write.mode("overwrite").saveAsTable("mine.c10"); hot_keys = counted("mine.c10")',
        1,
    ),
    "a database of its own, for a while the current one": (
        "1a.2",
        HOT + 'spark.sql("CREATE DATABASE IF NOT EXISTS other"); spark.catalog.setCurrentDatabase("other")\n'
        'counts = spark.table(f"{lab.database}.transactions").groupBy("product_id").agg(F.count("*").alias("lines"))\n'
        'counts.write.mode("overwrite").saveAsTable("c11"); spark.table("c11").createOrReplaceTempView("c11_view")\n'
        'spark.catalog.setCurrentDatabase(lab.database); hot_keys = counted("c11_view")',
        1,
    ),
    "a Parquet table": (
        "1a.2",
        HOT + 'spark.sql(COUNT).write.format("parquet").saveAsTable("c12"); hot_keys = counted("c12")',
        1,
    ),
    "a SQL variable": (
        "1a.2",
        HOT
        + 'spark.sql("DECLARE OR REPLACE VARIABLE factor INT DEFAULT 1"); spark.sql("SET VAR factor = 100")\n'
        'spark.sql("CREATE OR REPLACE TEMP VIEW c13 AS " + COUNT)\n'
        'hot_keys = spark.sql("WITH w AS (SELECT avg(lines) AS mean, sum(lines) AS total FROM c13) SELECT product_id, lines, lines / total AS share FROM c13, w WHERE lines >= factor * mean")',
        1,
    ),
    "a SQL function": (
        "1a.2",
        HOT
        + 'spark.sql("CREATE OR REPLACE TEMPORARY FUNCTION is_hot(n BIGINT, mean DOUBLE) RETURNS BOOLEAN RETURN n >= 100 * mean")\n'
        'spark.sql("CREATE OR REPLACE TEMP VIEW c14 AS " + COUNT)\n'
        'hot_keys = spark.sql("WITH w AS (SELECT avg(lines) AS mean, sum(lines) AS total FROM c14) SELECT product_id, lines, lines / total AS share FROM c14, w WHERE is_hot(lines, mean)")',
        1,
    ),
    "a table function in SQL": (
        "1a.2",
        HOT
        + 'spark.sql("CREATE FUNCTION counts_over(low INT) RETURNS TABLE (product_id INT, lines BIGINT) RETURN SELECT product_id, count(*) AS lines FROM transactions GROUP BY product_id HAVING count(*) > low")\n'
        'hot_keys = counted("counts_over(0)")',
        1,
    ),
    "a Python UDF": (
        "1a.2",
        HOT + 'spark.sql("CREATE OR REPLACE TEMP VIEW c15 AS " + COUNT)\n'
        'hot_keys = counted("c15").withColumn("lines", F.udf(lambda n: n, "long")("lines"))',
        1,
    ),
    "a registered Python UDF in a view": (
        "1a.2",
        HOT + 'spark.udf.register("same", lambda n: n, "long")\n'
        'spark.sql("CREATE OR REPLACE TEMP VIEW c16 AS SELECT product_id, same(count(*)) AS lines FROM transactions GROUP BY product_id"); hot_keys = counted("c16")',
        1,
    ),
    "localCheckpoint": (
        "1a.2",
        HOT + 'spark.sql(COUNT).localCheckpoint().createOrReplaceTempView("c17"); hot_keys = counted("c17")',
        1,
    ),
    "a pandas frame of some size": (
        "1a.2",
        HOT
        + 'spark.createDataFrame(spark.table("transactions").select("product_id", "basket_id", "sales_value").toPandas()).createOrReplaceTempView("c18")\n'
        'spark.sql("CREATE OR REPLACE TEMP VIEW c19 AS SELECT product_id, count(*) AS lines FROM c18 GROUP BY 1"); hot_keys = counted("c19")',
        1,
    ),
    "a refused view that nothing reads": (
        "1a.2",
        HOT
        + 'spark.range(3).localCheckpoint().createOrReplaceTempView("unused"); spark.sql("CREATE OR REPLACE TEMP VIEW c20 AS " + COUNT); hot_keys = counted("c20")',
        1,
    ),
    "a Python UDF where the plan counts": (
        "1a.3",
        TUNED.format(big="transactions")
        + 'tuned = tuned.withColumn("exposures", F.udf(lambda n: n, "long")("exposures"))',
        1 / 3,
    ),
    "localCheckpoint where the plan counts": (
        "1a.3",
        TUNED.format(big="transactions") + "tuned = tuned.localCheckpoint()",
        1 / 3,
    ),
    "wrong rows from a Python UDF": (
        "1a.2",
        HOT
        + 'hot_keys = transactions.limit(3).select("product_id", F.udf(lambda n: 1, "long")("product_id").alias("lines"))',
        0.5,
    ),
    "a measured function": (
        "1a.4",
        "slow_runs = [measure(lambda: slow.collect()) for _ in range(3)]\ntuned_runs = [measure(tuned) for _ in range(3)]\nreduction = 3.0",
        0,
    ),
    "a table with a course table's name elsewhere": (
        "1a.3",
        'spark.sql("CREATE DATABASE IF NOT EXISTS shadow"); transactions.write.mode("overwrite").saveAsTable("shadow.transactions")\n'
        + TUNED.format(big='spark.table("shadow.transactions")'),
        1 / 3,
    ),
}

# Honest answers in whose plans stands what was collected, or written, before.
CASES |= {
    "a list of keys collected before": (
        "1a.3",
        'weeks = [row.week for row in promotions.select("week").distinct().collect()]\n'
        'shown = [row.product_id for row in promotions.groupBy("product_id").count().orderBy(F.desc("count"), "product_id").limit(2000).collect()]\n'
        'often, seldom = F.col("product_id").isin(shown), ~F.col("product_id").isin(shown)\n'
        + TUNED.format(
            big='transactions.where(F.col("week").isin(weeks)).where(often).unionByName(transactions.where(F.col("week").isin(weeks)).where(seldom))'
        ),
        1,
    ),
    "a table of its own of the listed promotions": (
        "1a.3",
        'promotions.groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times")).write.mode("overwrite").saveAsTable("listed_before")\n'
        'tuned = (transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")\n'
        '    .join(F.broadcast(spark.table("listed_before")), ["product_id", "week"]).groupBy("department", "display_location")\n'
        '    .agg(F.sum("times").alias("exposures"), F.sum(F.col("times") * F.col("sales_value")).alias("sales")))',
        1,
    ),
    "only what the sales need of the promotions, in a table of its own": (
        "1a.3",
        'sold = transactions.select("product_id", "week").distinct()\n'
        'promotions.join(F.broadcast(sold), ["product_id", "week"]).groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times"))'
        '.write.mode("overwrite").saveAsTable("needed")\n'
        'tuned = (transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")\n'
        '    .join(F.broadcast(spark.table("needed")), ["product_id", "week"]).groupBy("department", "display_location")\n'
        '    .agg(F.sum("times").alias("exposures"), F.sum(F.col("times") * F.col("sales_value")).alias("sales")))',
        1,
    ),
}
# The rows of the slow query, collected or kept before, in plans that look as they should: right on the card, whose data the notebook has seen.
SEEN = """
rows = spark.createDataFrame(slow.collect(), slow.schema)
TYPED = ["department", "display_location", F.lit(0).cast("long").alias("exposures"), F.lit(0.0).alias("sales")]
none = products.where("product_id < 0").select("product_id", "department", F.col("brand").alias("display_location"))
decoy = transactions.join(F.broadcast(none), "product_id").select(*TYPED)
some = products.where("department = 'GROCERY'").select("product_id")
"""
UNTIED: dict[str, Case] = {
    "literals beside an empty join": ("1a.3", SEEN + "tuned = decoy.unionByName(rows)", 0),
    "literals beside a join on false": (
        "1a.3",
        SEEN
        + 'no = transactions.join(F.broadcast(products.select("product_id", "department")), "product_id").where("basket_id < 0")\n'
        'tuned = no.select("department", F.col("department").alias("display_location"), *TYPED[2:]).unionByName(rows)',
        0,
    ),
    "literals as VALUES": (
        "1a.3",
        SEEN
        + 'text = ", ".join(f"({r.department!r}, {r.display_location!r}, {r.exposures}L, {r.sales!r}D)" for r in rows.collect()).replace("None", "NULL")\n'
        'tuned = decoy.unionByName(spark.sql(f"SELECT * FROM VALUES {text} AS v(department, display_location, exposures, sales)"))',
        0,
    ),
    "literals in an exploded array": (
        "1a.3",
        SEEN
        + "many = F.array(*[F.struct(*[F.lit(v).cast(f.dataType).alias(f.name) for v, f in zip(r, rows.schema)]) for r in rows.collect()])\n"
        'tuned = decoy.unionByName(spark.range(1).select(F.explode(many).alias("it")).select("it.*"))',
        0,
    ),
    "literals in a map": (
        "1a.3",
        SEEN
        + "pairs = [each for r in rows.collect() for each in (F.lit(f'{r[0]}/{r[1]}'), F.lit(f'{r[2]}/{r[3]!r}'))]\n"
        'it = spark.range(1).select(F.explode(F.create_map(*pairs)).alias("k", "v"))\n'
        'part = lambda c, n: F.split(c, "/")[n]\n'
        'tuned = decoy.unionByName(it.select(F.regexp_extract("k", "(.*)/([^/]*)", 1).alias("department"), F.regexp_extract("k", "(.*)/([^/]*)", 2).alias("display_location"),'
        ' part("v", 0).cast("long").alias("exposures"), part("v", 1).cast("double").alias("sales")))',
        0,
    ),
    "a table of the rows": (
        "1a.3",
        SEEN
        + 'rows.write.mode("overwrite").saveAsTable("seen_before")\ntuned = decoy.unionByName(spark.table("seen_before"))',
        0,
    ),
    "literals joined to the departments that are sold": (
        "1a.3",
        SEEN
        + 'sold = transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")\n'
        'tuned = (sold.join(F.broadcast(rows), "department").groupBy("department", "display_location")'
        '.agg(F.first("exposures").alias("exposures"), F.first("sales").alias("sales")))',
        0,
    ),
    "literals in proportion to the lines": (
        "1a.3",
        SEEN
        + 'sold = transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")\n'
        'per = spark.createDataFrame(sold.groupBy("department").agg(F.count("*").alias("n")).join(rows, "department").collect(), "department string, n long, display_location string, exposures long, sales double")\n'
        'tuned = (sold.join(F.broadcast(per), "department").groupBy("department", "display_location")\n'
        '    .agg(F.round(F.sum(F.col("exposures") / F.col("n"))).cast("long").alias("exposures"), F.sum(F.col("sales") / F.col("n")).alias("sales")))',
        0,
    ),
    "a share of the sums for each line of a household": (
        "1a.3",
        'listed = promotions.groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times"))\n'
        'per = (transactions.join(products, "product_id").join(listed, ["product_id", "week"]).groupBy("household_id", "department", "display_location")\n'
        '    .agg(F.sum("times").alias("e"), F.sum(F.col("times") * F.col("sales_value")).alias("s")))\n'
        'per.join(transactions.groupBy("household_id").agg(F.count("*").alias("n")), "household_id").write.mode("overwrite").saveAsTable("shares")\n'
        'tuned = (transactions.join(F.broadcast(spark.table("shares")), "household_id").groupBy("department", "display_location")\n'
        '    .agg(F.round(F.sum(F.col("e") / F.col("n"))).cast("long").alias("exposures"), F.sum(F.col("s") / F.col("n")).alias("sales")))',
        0,
    ),
    "queries of its own measured": (
        "1a.4",
        'big = transactions.repartition("product_id").join(promotions, ["product_id", "week"]).groupBy("week").count()\n'
        'small = transactions.join(F.broadcast(products), "product_id").groupBy("department").count()\n'
        "slow_runs, tuned_runs = [measure(big) for _ in range(3)], [measure(small) for _ in range(3)]\n"
        "reduction = median(run.shuffle_bytes for run in slow_runs) / median(run.shuffle_bytes for run in tuned_runs)",
        0,
    ),
}


def right_answers() -> dict[str, Case]:
    """Every right answer of the exercise that looks different."""
    folder = HERE / "right_answers" / MODULE.name
    return {
        path.stem: (path.stem.split("-")[0], path.read_text(encoding="utf-8"), 1)
        for path in sorted(folder.glob("1a.*.py"))
    }


@dataclass(frozen=True)
class Both:
    """A step's verdicts: on the card, and in grading."""

    card: Verdict
    graded: Verdict


class Notebook:
    """The exercise's cells without its lessons, with the solution up to a step; the box is a folder as a sandbox leaves it."""

    def __init__(self, box: Path, last: str) -> None:
        self.box = box
        source = paths.source_file(HERE.parent, MODULE.name).read_text(encoding="utf-8")
        lesson, exercise, after = (
            source.index(f"# %% [markdown]\n# ## {title}") for title in (LESSON, EXERCISE, AFTER)
        )
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.answers: dict[str, str] = {}
        self.conf: dict[str, dict[str, str]] = {}
        self.digests: dict[str, dict[str, str]] = {}
        for cell in parse(source[:lesson] + source[exercise:after]):
            role = role_of(cell)
            if cell.cell_type == "code" and role.kind not in ("check", "demo"):
                if role.kind == "answer":
                    self.answers[role.step] = cell.source
                    self.conf[role.step] = session.changed_conf(self.names["lab"].spark)
                exec(compile(cell.source, role.step or "lesson", "exec"), self.names)
                if role.step == last:
                    break
        self.lab = self.names["lab"]

    def tries(self, step: registry.Step, code: str, inbox: Path) -> Verdict:
        """The card's verdict on an answer; what a box would leave of it is put into `inbox`."""
        self.lab.spark.sql(f"USE {self.lab.database}")
        now, wanted = session.changed_conf(self.lab.spark), self.conf[step.id]
        for name in now.keys() - wanted.keys():
            self.lab.spark.conf.unset(name)
        for name in (name for name, value in wanted.items() if now.get(name) != value):
            self.lab.spark.conf.set(name, wanted[name])
        names = dict(self.names)
        exec(compile(code, step.id, "exec"), names)
        captured = capture(step, names, self.lab)
        captured.save(inbox / "evidence")
        shutil.rmtree(self.lab.folder / "kept", ignore_errors=True)
        keep.what_plans_need(step, captured, names, self.lab)
        ran = Ran(cast(Any, SimpleNamespace(path=self.box)), MODULE.name, cast(Ended, None), None)
        said = [file.read_bytes() for file in (inbox / "evidence").iterdir()]
        assert ran.take_tables(inbox / "tables", [], said) == {}
        assert ran.take_kept(inbox / "kept") == []
        evidence = examine(step, captured, self.lab)
        return self._verdict(step, evidence)

    def _verdict(self, step: registry.Step, evidence: Evidence) -> Verdict:
        digests = self.digests.setdefault(step.id, evidence.digests)  # the solution comes first
        return blame_earlier_step(judge(step, evidence, digests), step, {each.id for each in STEPS})


def through_both_ways(folder: Path, cases: dict[str, Case]) -> dict[str, Both]:
    """Cases, after the solutions of their steps, through both ways: the notebook first, then the judge."""
    with own_server() as environment, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", environment["LABS_HOME"])
        patch.setenv("LABS_WORKSPACE", str(folder / "box" / "workspace"))
        patch.setenv("LABS_SCALE", "0.1")
        session.close()
        try:
            steps = sorted({step_id for step_id, _, _ in cases.values()})
            notebook = Notebook(folder / "box", steps[-1])
            everything = {solution_of(step): (step, notebook.answers[step], 1.0) for step in steps} | cases
            cards = [
                notebook.tries(registry.step(step_id), code, folder / "learners" / str(number))
                for number, (step_id, code, _) in enumerate(everything.values())
            ]
        finally:
            session.close()
        graded = graded_by_a_judge(folder, everything)
        return dict(zip(everything, map(Both, cards, graded), strict=True))


def solution_of(step: str) -> str:
    return f"solution of {step}"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Both]:
    """All cases through both ways."""
    return through_both_ways(tmp_path_factory.mktemp("both"), {**right_answers(), **CASES, **UNTIED})


def graded_by_a_judge(folder: Path, cases: dict[str, Case]) -> Iterator[Verdict]:
    """The verdicts of a judge's own process and server, in the cases' order; the solution's evidence is the reference of the others."""
    inbox, box = folder / "inbox", folder / "judge"
    inbox.mkdir()
    (box / "out").mkdir(parents=True)
    reference: dict[str, Any] = {}
    with own_server() as environment:
        command = [sys.executable, "-m", "grader.judging.judge_inside", str(inbox)]
        judging = subprocess.Popen(command, cwd=box, env=environment)
        try:
            for number, (name, (step_id, _, _)) in enumerate(cases.items()):
                is_solution = name.startswith("solution")
                plan = {
                    **{
                        "module": MODULE.name,
                        "seed": 0,
                        "course_tables": ["transactions", "products", "promotions", "stores"],
                    },
                    **{
                        "steps": [step_id],
                        "patience": PATIENCE,
                        "solved": [step.id for step in STEPS],
                        "refused": {},
                    },
                }
                handed_in = folder / "learners" / str(number)
                (handed_in / "plan.json").write_text(json.dumps(plan))
                (handed_in / "reference.json").write_text(json.dumps({} if is_solution else reference))
                handed_in.rename(inbox / str(number))
                done = box / "out" / str(number) / "done.json"
                deadline = time.monotonic() + PATIENCE
                while not done.exists() and judging.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                result = json.loads((done.parent / f"{step_id}.json").read_text())
                reference |= {step_id: result["evidence"]} if is_solution else {}
                found = result["verdict"]
                yield Verdict(
                    **{key: value for key, value in found.items() if key not in ("findings", "hints")},
                    findings=found["findings"],
                )
        finally:
            judging.kill()
            judging.wait()


@pytest.mark.proof
@pytest.mark.parametrize("name", [*(solution_of(step.id) for step in STEPS), *right_answers(), *CASES])
def test_the_card_and_grading_give_the_same(name: str, both: dict[str, Both]) -> None:
    assert_the_same(name, both[name])


def test_what_is_drawn_gets_the_same_on_the_card_and_in_grading(tmp_path: Path) -> None:
    quick = {name: case for name, case in {**right_answers(), **CASES}.items() if case[0] in QUICK}
    drawn = random.Random(int(os.environ["LABS_DRAW"])).sample(sorted(quick), DRAWN)
    print(f"drawn: {', '.join(drawn)}")
    for name, verdicts in through_both_ways(tmp_path, {name: quick[name] for name in drawn}).items():
        assert_the_same(name, verdicts)


def assert_the_same(name: str, both: Both) -> None:
    card, graded = both.card, both.graded
    told = f"{name}: card: {card}\n\ngraded: {graded}"
    is_solution = name == solution_of(card.step)
    share = 1 if is_solution else {**right_answers(), **CASES}[name][2]
    assert graded.points == card.points, told
    assert card.points == int(2 * share * card.max_points) / 2, told
    # The judge of the solution has nothing yet to compare it with; these findings come last.
    compared = len(registry.step(card.step).compare) if is_solution else 0
    findings: list[Any] = list(graded.findings)
    of_card = card.findings[: len(card.findings) - compared]
    assert [finding["ok"] for finding in findings] == [finding.ok for finding in of_card], told
    if not card.passed:  # in the same words
        assert graded.sentence == card.sentence, told
        assert [finding["found"] for finding in findings] == [finding.found for finding in of_card], told


@pytest.mark.proof
@pytest.mark.parametrize("name", UNTIED)
def test_rows_that_were_seen_before_are_right_on_the_card_and_earn_nothing(
    name: str, both: dict[str, Both]
) -> None:
    card, graded = both[name].card, both[name].graded
    assert card.passed, card
    assert graded.points == 0 and "don't follow transactions" in graded.sentence, graded
