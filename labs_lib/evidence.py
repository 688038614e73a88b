"""Evidence: what a learner's answer amounts to, as plain data that a check can judge and a file can hold.

Nothing of the learner's own classes survives into it: values go through JSON, DataFrames become plans and digests, tables
are read from their logs. That is what lets another process judge it (DESIGN.md, section 6).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.errors import PySparkException
from pyspark.sql.connect.dataframe import DataFrame

from labs_lib import delta_log, spark_ui
from labs_lib.errors import LabsError
from labs_lib.lab import Lab
from labs_lib.registry import Answer, Step

SIMPLE_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}
ROW_LIMIT = 200_000  # rows of a DataFrame answer that are compared; exercises ask for far fewer


@dataclass(frozen=True)
class Evidence:
    """The evidence of one step.

    answers: captured answers by name, JSON only. problems: sentences for answers that are missing or unusable.
    observed: what the engine did, as the step's `observe` function found it. digests: of the answers to be compared.
    """

    step: str
    seed: int
    answers: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    observed: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it as `<step>.json` in that folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.step}.json"
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=1, default=str))
        scratch.replace(path)


def capture(step: Step, namespace: Mapping[str, Any], lab: Lab) -> Evidence:
    """Evidence of a step's answers, without observations. Reads only: nothing that it looks at is changed."""
    answers: dict[str, Any] = {}
    problems: dict[str, str] = {}
    digests: dict[str, str] = {}
    missing: list[str] = []
    for answer in step.answers:
        try:
            captured = _capture(answer, namespace, lab)
        except Unanswered:
            missing.append(answer.name)
            continue
        except Unusable as problem:
            problems[answer.name] = str(problem)
            continue
        if answer.name in step.compare:
            try:
                digests[answer.name] = _digest(answer, namespace.get(answer.name), captured)
            except Unusable as problem:
                problems[answer.name] = str(problem)
                continue
        answers[answer.name] = captured
    return Evidence(step.id, lab.seed, answers, problems, tuple(missing), {}, digests)


class Unanswered(Exception):
    """The name is not there, or still holds the placeholder."""


class Unusable(Exception):
    """The answer is there and is not what the step asks for; the message is for the learner."""


def _capture(answer: Answer, namespace: Mapping[str, Any], lab: Lab) -> Any:
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
        case "function":
            if not callable(value):
                raise Unusable(f"`{answer.name}` should be a function; it is {_kind_of(value)}.")
            return "function"
        case "file":
            path = Path(value) if isinstance(value, str | Path) else None
            if path is None or not path.is_file():
                raise Unusable(f"`{answer.name}` should be the path of a file that exists; it is {str(value)[:100]!r}.")
            return {"path": str(path), "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _table(answer: Answer, lab: Lab) -> dict[str, Any]:
    try:
        path = lab.path(answer.name)
    except LabsError:
        raise Unanswered from None
    try:
        return json.loads(json.dumps(asdict(delta_log.read(path)), default=str))
    except LabsError as error:
        raise Unusable(str(error)) from None


def _value(answer: Answer, value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        if answer.type not in {"", "table"}:
            raise Unusable(f"`{answer.name}` should be a {answer.type}; it is a pandas DataFrame.")
        return plain(value.to_dict(orient="records"))
    if isinstance(value, DataFrame):
        raise Unusable(f"`{answer.name}` should be a {answer.type or 'value'}; it is a Spark DataFrame: collect it first.")
    captured = plain(value)
    wanted = SIMPLE_TYPES.get(answer.type)
    if wanted and (not isinstance(captured, wanted) or isinstance(captured, bool) and bool not in wanted):
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
        plan = value._plan.to_proto(value.sparkSession.client)
        columns = value.columns
    except PySparkException as error:
        raise Unusable(f"Spark can't analyse `{answer.name}`: {first_line(error)}") from None
    return {"columns": columns, "plan": base64.b64encode(plan.SerializeToString()).decode()}


def _run(answer: Answer, value: Any) -> dict[str, Any]:
    if not isinstance(value, spark_ui.Run):
        raise Unusable(f"`{answer.name}` should be what `measure` returned; it is {_kind_of(value)}.")
    # Read again from the engine by its tag: the object in the notebook could say anything.
    run = spark_ui.of_tag(str(value.tag), str(value.label))
    return json.loads(json.dumps(asdict(run) | {"shuffle_bytes": run.shuffle_bytes, "files_read": run.files_read}))


def _digest(answer: Answer, value: Any, captured: Any) -> str:
    if answer.kind == "dataframe":
        try:
            rows = value.limit(ROW_LIMIT).toPandas()
        except PySparkException as error:
            raise Unusable(f"Running `{answer.name}` failed: {first_line(error)}") from None
        # Columns in name order and rows in value order: neither is part of what was asked.
        frame = rows[sorted(rows.columns)]
        captured = sorted(json.dumps(plain(list(row)), default=str) for row in rounded(plain_rows(frame), answer.digits))
    else:
        captured = rounded(captured, answer.digits)
    return hashlib.sha256(json.dumps([answer.name, captured], sort_keys=True).encode()).hexdigest()


def plain_rows(frame: pd.DataFrame) -> list[list[Any]]:
    """Rows of a pandas DataFrame as lists of plain values; missing values are None."""
    records = frame.astype(object).where(frame.notna(), None).values.tolist()
    return [[item if item is None else plain(item) for item in row] for row in records]


def rounded(value: Any, digits: int) -> Any:
    """The same data with floats rounded to so many significant digits: sums depend on the order of addition.

    A whole float becomes an int, because 3.0 and 3 are the same answer.
    """
    if isinstance(value, float):
        number = float(f"{value:.{digits}g}")
        return int(number) if number.is_integer() else number
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return value


def first_line(error: BaseException) -> str:
    """The first line of an error's message, cut to a readable length."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:240]


def _kind_of(value: Any) -> str:
    return f"of type {type(value).__name__}"
