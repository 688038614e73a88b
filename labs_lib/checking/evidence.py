"""Evidence: what a learner's answer amounts to, as plain data that a check can judge and a file can hold.

Nothing of the learner's own classes survives into it: values go through JSON, DataFrames become plans and digests, tables
are read from their logs. That is what lets another process judge it (DESIGN.md, section 6).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyspark.sql.connect.proto as proto
from google.protobuf.message import DecodeError
from pyspark.errors import PySparkException
from pyspark.sql.connect.dataframe import DataFrame

from labs_lib.checking import used
from labs_lib.checking.used import Unusable
from labs_lib.engine import session
from labs_lib.errors import LabsError, first_line
from labs_lib.lab import Lab
from labs_lib.measuring import delta_log, spark_ui
from labs_lib.registry import Answer, Step
from labs_lib.vetting import paths, statements
from labs_lib.vetting.text import Rejected

SIMPLE_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}
WHOLE = 2**63  # from here on a Decimal may have more digits than anybody meant
FILE_LIMIT = 200_000  # bytes of a file answer, which is source code or configuration
ROW_BYTES = 64 << 20  # of the rows that are kept of a DataFrame whose plan grading can't make again
ROW_LIMIT = 200_000  # rows of a DataFrame answer that are compared; exercises ask for far fewer


@dataclass(frozen=True)
class Evidence:
    """The evidence of one step.

    What `capture` takes in the learner's process, and no judge believes without looking:
    answers: by name, JSON only. problems: sentences for answers that are unusable. missing: names without an answer.
    conf: the session's own Spark settings. views: commands that made its views, functions and variables, serialised, in order.

    What whoever examines it adds: observed: what the engine does with the answers. digests: of the answers that are compared.
    lost: answers whose plan was asked for and can't be made again, each with the reason.
    """

    step: str
    seed: int
    answers: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    conf: dict[str, str] = field(default_factory=dict)
    views: tuple[str, ...] = ()
    observed: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it as `<step>.json` in that folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.step}.json"
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=1))
        scratch.replace(path)


def capture(step: Step, namespace: Mapping[str, Any], lab: Lab) -> Evidence:
    """Evidence of a step's answers, before anybody examines it. Reads only: nothing that it looks at is changed.

    `namespace` are a notebook's variables; IPython's `In` among them are the cells as they were run.
    """
    answers: dict[str, Any] = {}
    problems: dict[str, str] = {}
    missing: list[str] = []
    plans = holds_plans(step)
    views = tuple(command_by_name(text, lab) for text in session.view_commands()) if plans else ()
    scene = statements.scene_of(views, lab.database if plans else "")
    for answer in step.answers:
        try:
            answers[answer.name] = _capture(step, answer, namespace, lab, scene)
        except Unanswered:
            missing.append(answer.name)
        except Unusable as problem:
            problems[answer.name] = str(problem)
    return Evidence(
        step.id,
        lab.seed,
        answers,
        problems,
        tuple(missing),
        conf=session.changed_conf(lab.spark) if plans or step.conf else {},
        views=views,
    )


def holds_plans(step: Step) -> bool:
    """Whether a step's answers are plans, which mean nothing without their session's settings and temporary views."""
    return any(answer.kind in {"dataframe", "run", "runs"} for answer in step.answers)


class Unanswered(Exception):
    """The name is not there, or still holds the placeholder."""


def _capture(
    step: Step, answer: Answer, namespace: Mapping[str, Any], lab: Lab, scene: statements.Scene
) -> Any:
    if answer.kind == "table":
        return _table(answer, lab)
    value = namespace.get(answer.name)
    if value is None or value is Ellipsis:
        raise Unanswered
    match answer.kind:
        case "value":
            return _value(answer, value)
        case "dataframe":
            return _dataframe(answer, value, lab, scene)
        case "run":
            return _run(answer, value, lab, scene)
        case "runs":
            if not isinstance(value, list) or not value:
                raise Unusable(
                    f"`{answer.name}` should be a list of what `measure` returned; it is {_kind_of(value)}."
                )
            return [_run(answer, run, lab, scene) for run in value]
        case "definition":
            if not callable(value):
                raise Unusable(f"`{answer.name}` should be a function or a class; it is {_kind_of(value)}.")
            return used.definition(answer.name, value, namespace.get("In", ()))
        case "files":
            return used.files(answer, value, lab.folder.parent)
        case "state":
            return used.checked_state(answer, used.schema_of(step, answer), plain(value))
        case "file":
            path = Path(value) if isinstance(value, str | Path) else None
            if path is None or not path.is_file():
                raise Unusable(
                    f"`{answer.name}` should be the path of a file that exists; it is {str(value)[:100]!r}."
                )
            if path.stat().st_size > FILE_LIMIT:
                raise Unusable(
                    f"`{answer.name}` names a file of {path.stat().st_size:,} bytes; {FILE_LIMIT:,} is the most."
                )
            return {"name": path.name, "text": path.read_text(errors="replace")}


def _table(answer: Answer, lab: Lab) -> dict[str, Any]:
    try:
        path = lab.path(answer.name)
    except LabsError:
        raise Unanswered from None
    try:
        delta_log.open_table(path)
    except LabsError as error:
        raise Unusable(str(error)) from None
    return {"table": answer.name.lower()}


def _value(answer: Answer, value: Any) -> Any:
    if isinstance(value, DataFrame):
        raise Unusable(
            f"`{answer.name}` should be a {answer.type or 'value'}; it is a Spark DataFrame: collect it first."
        )
    captured = plain(value)
    if answer.type == "rows":
        if not (isinstance(captured, list) and all(isinstance(row, dict) for row in captured)):
            raise Unusable(
                f"`{answer.name}` should be a pandas DataFrame or a list of dicts; it is {_kind_of(value)}."
            )
        return [{name.lower(): item for name, item in row.items()} for row in captured]
    if answer.type == "int" and type(captured) is float and captured.is_integer():
        return int(captured)  # pandas and a sum of decimals make whole numbers floats
    wanted = SIMPLE_TYPES.get(answer.type)
    if wanted and (not isinstance(captured, wanted) or (isinstance(captured, bool) and bool not in wanted)):
        raise Unusable(f"`{answer.name}` should be of type {answer.type}; it is {_kind_of(value)}.")
    return captured


def plain(value: Any) -> Any:
    """A value as plain JSON data of Python's own types. Raises Unusable for what JSON can't hold, and for NaN.

    Goes by exact type, so that an object that only claims to be a number stays out. Decimals become numbers. What is inside of
    something else may be nobody's concern: there NaN is None, as pandas means it, and an infinity its name.
    """
    captured = _plain(value)
    if (captured is None and value is not None) or (
        captured in ("inf", "-inf") and not isinstance(value, str)
    ):
        raise Unusable(f"The answer is {value}, which is no number to work with.")
    return captured


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA or type(value) in {bool, int, str}:
        return value if type(value) in {bool, int, str} else None
    if type(value) is float:
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if type(value) is Decimal:
        return _plain(float("nan") if value.is_nan() else int(value) if _is_whole(value) else float(value))
    if type(value) in {list, tuple, set, frozenset}:
        items = [_plain(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    if type(value) is dict:
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame | pd.Series):
        return _plain(value.to_dict("records") if isinstance(value, pd.DataFrame) else value.to_dict())
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return _plain(value.item() if getattr(value, "ndim", 0) == 0 else value.tolist())
    if type(value).__module__ in {"datetime", "pathlib", "pandas._libs.tslibs.timestamps"}:
        return str(value)
    if type(value).__name__ == "Row" and isinstance(value, tuple):
        return _plain(value.asDict(recursive=True))  # type: ignore[attr-defined]
    raise Unusable(f"The answer holds {_kind_of(value)}, where numbers, text, lists and dicts are expected.")


def _is_whole(value: Decimal) -> bool:
    return value.is_finite() and abs(value) < WHOLE and value == value.to_integral_value()


def _dataframe(answer: Answer, value: Any, lab: Lab, scene: statements.Scene) -> dict[str, Any]:
    if isinstance(value, pd.DataFrame):
        if answer.type != "rows":
            raise Unusable(
                f"`{answer.name}` should be a Spark DataFrame, whose plan is looked at; it is a pandas DataFrame: leave out toPandas()."
            )
        try:
            value = lab.spark.createDataFrame(value)
        except Exception as error:  # columns of mixed types, none at all, and whatever else pandas allows
            raise Unusable(
                f"`{answer.name}` is a pandas DataFrame that Spark can't read: {first_line(error)}"
            ) from None
    if not isinstance(value, DataFrame):
        raise Unusable(f"`{answer.name}` should be a Spark DataFrame; it is {_kind_of(value)}.")
    try:
        columns = columns_of(value)
    except PySparkException as error:
        raise Unusable(f"Spark can't analyse `{answer.name}`: {first_line(error)}") from None
    try:
        plan = plan_by_name(spark_ui.serialised(value), lab)
    except (DecodeError, PySparkException) as error:
        raise Unusable(f"The plan of `{answer.name}` can't be read: {first_line(error)}") from None
    return {"columns": columns, "plan": plan, "refused": "" if answer.given else refusal(plan, scene)}


def columns_of(frame: DataFrame) -> list[str]:
    """A DataFrame's columns as Spark compares their names: in small letters. Raises PySparkException if it can't be analysed."""
    return [name.lower() for name in frame.columns]


def plan_by_name(plan: str, lab: Lab) -> str:
    """A serialised plan that reads the lab's own tables by name where it did so by path."""
    message = proto.Plan.FromString(base64.b64decode(plan))
    paths.by_name(message.root, lab.tables, lab.database)
    return base64.b64encode(message.SerializeToString()).decode()


def command_by_name(command: str, lab: Lab) -> str:
    """The same for a command that makes a view, a function or a variable."""
    message = proto.Command.FromString(base64.b64decode(command))
    paths.by_name(message, lab.tables, lab.database)
    return base64.b64encode(message.SerializeToString()).decode()


def refusal(plan: str, scene: statements.Scene) -> str:
    """Why grading can't make a DataFrame again from its plan, in a sentence; empty if it can. Both go by the same rules."""
    try:
        statements.check_answer(base64.b64decode(plan), scene)
    except Rejected as reason:
        return str(reason)
    return ""


def _run(answer: Answer, value: Any, lab: Lab, scene: statements.Scene) -> dict[str, Any]:
    if not isinstance(value, spark_ui.Run):
        raise Unusable(f"`{answer.name}` should be what `measure` returned; it is {_kind_of(value)}.")
    plan = plan_by_name(str(value.query), lab)
    if reason := "" if answer.given else refusal(plan, scene):
        raise Unusable(f"`{answer.name}` was refused: {reason}")
    # A notebook's own check reads the run's figures again by its tag, as this object could say anything.
    return {
        "tag": str(value.tag),
        "label": str(value.label),
        "plan": plan,
        "stages": plain(stage_figures(value)),
    }


def stage_figures(run: spark_ui.Run) -> list[dict[str, int]]:
    """Each stage's id, the bytes that it read from shuffles, and its task time in milliseconds."""
    return [
        {"stage": stage.id, "shuffle_bytes": stage.shuffle_read, "run_time": stage.run_time}
        for stage in run.stages
    ]


def _kind_of(value: Any) -> str:
    return f"of type {type(value).__name__}"
