"""Evidence: what a learner's answer amounts to, as plain data that a check can judge and a file can hold.

Nothing of the learner's own classes survives into it: values go through JSON, DataFrames become plans and digests, tables
are read from their logs. That is what lets another process judge it (DESIGN.md, section 6).
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.errors import PySparkException
from pyspark.sql.connect.dataframe import DataFrame

from labs_lib.engine import session
from labs_lib.errors import LabsError, first_line
from labs_lib.lab import Lab
from labs_lib.measuring import delta_log, spark_ui
from labs_lib.registry import Answer, Step

SIMPLE_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}
FILE_LIMIT = 200_000  # bytes of a file answer, which is source code or configuration
ROW_LIMIT = 200_000  # rows of a DataFrame answer that are compared; exercises ask for far fewer


@dataclass(frozen=True)
class Evidence:
    """The evidence of one step.

    What `capture` takes in the learner's process, and no judge believes without looking:
    answers: by name, JSON only. problems: sentences for answers that are unusable. missing: names without an answer.
    conf: the session's own Spark settings. views: commands that made its temporary views, serialised, in order.

    What whoever examines it adds: observed: what the engine does with the answers. digests: of the answers that are compared.
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

    def save(self, folder: Path) -> None:
        """Write it as `<step>.json` in that folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.step}.json"
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=1))
        scratch.replace(path)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


@dataclass(frozen=True)
class Trial:
    """How a function answer is tried: `drive(function, *arguments)` for each of `inputs`, whose results are the evidence."""

    inputs: Sequence[Sequence[Any]] = ()
    drive: Callable[..., Any] = _call


def capture(
    step: Step,
    namespace: Mapping[str, Any],
    lab: Lab,
    trials: Mapping[str, Trial] | None = None,
) -> Evidence:
    """Evidence of a step's answers, before anybody examines it. Reads only: nothing that it looks at is changed.

    `trials` says how each function answer is tried, by its name.
    """
    answers: dict[str, Any] = {}
    problems: dict[str, str] = {}
    missing: list[str] = []
    for answer in step.answers:
        try:
            answers[answer.name] = _capture(answer, namespace, lab, (trials or {}).get(answer.name, Trial()))
        except Unanswered:
            missing.append(answer.name)
        except Unusable as problem:
            problems[answer.name] = str(problem)
    plans = any(answer.kind in {"dataframe", "run", "runs"} for answer in step.answers)
    return Evidence(
        step.id,
        lab.seed,
        answers,
        problems,
        tuple(missing),
        conf=session.changed_conf(lab.spark) if plans or step.conf else {},
        views=session.view_commands() if plans else (),
    )


class Unanswered(Exception):
    """The name is not there, or still holds the placeholder."""


class Unusable(Exception):
    """The answer is there and is not what the step asks for; the message is for the learner."""


def _capture(answer: Answer, namespace: Mapping[str, Any], lab: Lab, trial: Trial) -> Any:
    if answer.kind == "table":
        return _table(answer, lab)
    if answer.kind == "state":
        return None
    value = namespace.get(answer.name)
    if value is None or value is Ellipsis:
        raise Unanswered
    match answer.kind:
        case "value":
            return _value(answer, value)
        case "dataframe":
            return _dataframe(answer, value)
        case "run":
            return _run(answer, value)
        case "runs":
            if not isinstance(value, list) or not value:
                raise Unusable(
                    f"`{answer.name}` should be a list of what `measure` returned; it is {_kind_of(value)}."
                )
            return [_run(answer, run) for run in value]
        case "function":
            if not callable(value):
                raise Unusable(f"`{answer.name}` should be a function; it is {_kind_of(value)}.")
            return {"outputs": [_output(answer, value, trial, arguments) for arguments in trial.inputs]}
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


def _output(
    answer: Answer, function: Callable[..., Any], trial: Trial, arguments: Sequence[Any]
) -> dict[str, Any]:
    """What a function makes of some arguments: a value, or the error that it raised."""
    try:
        return {"value": plain(trial.drive(function, *copy.deepcopy(arguments)))}
    except Unusable as problem:
        return {"error": f"`{answer.name}` returned what can't be judged. {problem}"}
    except Exception as error:  # a learner's function may raise anything
        return {"error": f"{type(error).__name__}: {first_line(error)}"}


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
    if isinstance(value, pd.DataFrame) and answer.type in {"", "rows"}:
        return plain(value)
    if isinstance(value, DataFrame):
        raise Unusable(
            f"`{answer.name}` should be a {answer.type or 'value'}; it is a Spark DataFrame: collect it first."
        )
    captured = plain(value)
    if answer.type == "rows" and not (
        isinstance(captured, list) and all(isinstance(row, dict) for row in captured)
    ):
        raise Unusable(
            f"`{answer.name}` should be a pandas DataFrame or a list of dicts; it is {_kind_of(value)}."
        )
    wanted = SIMPLE_TYPES.get(answer.type)
    if wanted and (not isinstance(captured, wanted) or (isinstance(captured, bool) and bool not in wanted)):
        raise Unusable(f"`{answer.name}` should be of type {answer.type}; it is {_kind_of(value)}.")
    return captured


def plain(value: Any) -> Any:
    """A value as plain JSON data of Python's own types. Raises Unusable for what JSON can't hold.

    Goes by exact type, so that an object that only claims to be a number stays out.
    """
    if value is None or type(value) in {bool, int, str}:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise Unusable(f"The answer holds {value}, which is no number to work with.")
        return value
    if type(value) in {list, tuple, set, frozenset}:
        items = [plain(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    if type(value) is dict:
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame | pd.Series):
        return plain(value.to_dict("records") if isinstance(value, pd.DataFrame) else value.to_dict())
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return plain(value.item()) if getattr(value, "ndim", 0) == 0 else plain(value.tolist())
    if type(value).__module__ in {"datetime", "decimal", "pathlib", "pandas._libs.tslibs.timestamps"}:
        return str(value)
    if type(value).__name__ == "Row" and isinstance(value, tuple):
        return plain(value.asDict(recursive=True))  # type: ignore[attr-defined]
    raise Unusable(f"The answer holds {_kind_of(value)}, where numbers, text, lists and dicts are expected.")


def _dataframe(answer: Answer, value: Any) -> dict[str, Any]:
    if not isinstance(value, DataFrame):
        raise Unusable(f"`{answer.name}` should be a Spark DataFrame; it is {_kind_of(value)}.")
    try:
        columns = value.columns
    except PySparkException as error:
        raise Unusable(f"Spark can't analyse `{answer.name}`: {first_line(error)}") from None
    return {"columns": columns, "plan": spark_ui.serialised(value)}


def _run(answer: Answer, value: Any) -> dict[str, Any]:
    if not isinstance(value, spark_ui.Run):
        raise Unusable(f"`{answer.name}` should be what `measure` returned; it is {_kind_of(value)}.")
    # A notebook's own check reads the run's figures again by its tag, as this object could say anything.
    return {
        "tag": str(value.tag),
        "label": str(value.label),
        "plan": str(value.query),
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
