"""Evidence of a learner's at the judge's border: of what the file says only what may be used becomes Evidence again.

Rules: labs_lib.checking.evidence (what capture writes), grader.vetting (what a plan, a command and JSON may hold). Digests and
observations in the file are left out, because the judge makes its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyspark.sql.connect.proto as proto

from grader.vetting import Rejected, check_conf, read_json
from grader.vetting.files import shown
from labs_lib.checking import used
from labs_lib.checking.evidence import FILE_LIMIT, Evidence, Unusable, _value, holds_plans, plain
from labs_lib.registry import Answer, Step
from labs_lib.vetting.statements import Scene, check_answer, scene_of

FILE_BYTES = 16 * 2**20  # of one step's evidence
DEPTH = 40
RUNS = 20  # of one answer
STAGES = 500  # of one run
VIEWS = 2_000  # statements; fewer are replayed
SETTINGS = 500
SENTENCE = 400  # characters
TEXT = 500  # characters of a tag, a label, a setting


def admit(
    step: Step,
    path: Path,
    seed: int,
    given: Evidence | None,
    database: str = "",
    kept: Mapping[str, Path] | None = None,
) -> Evidence:
    """The evidence of a step in a file, as far as it may be used.

    Answers that a lesson gives come from `given`, the solution's evidence; without it (the solution itself is judged)
    from the file. `database` is the name of the lab's own; `kept` has the vetted tables of rows of DataFrame answers, by
    name: one whose plan is refused is judged by those. Raises Rejected with a sentence if the file is not what check() writes, or holds what is refused.
    """
    raw = read_json(path, FILE_BYTES, DEPTH)
    if not isinstance(raw, dict) or raw.get("step") != step.id:
        raise Rejected(f"{path.name} is not the evidence of step {step.id}.")
    if type(raw.get("seed")) is not int or raw["seed"] != seed:
        raise Rejected(
            "The evidence was made on other data than the notebook was given: SEED was changed on the way."
        )
    captured, complaints = _dict(raw, "answers"), _dict(raw, "problems")
    answers: dict[str, Any] = {}
    problems: dict[str, str] = {}
    missing: list[str] = []
    scene = scene_of(_views(raw.get("views", [])) if holds_plans(step) else (), database)
    for answer in step.answers:
        name = answer.name
        if answer.given and given is not None:
            answers[name] = _given(answer, given.answers[name], captured.get(name))
        elif name in captured:
            try:
                answers[name] = _answer(step, answer, captured[name], scene, (kept or {}).get(name))
            except Unusable as problem:
                problems[name] = str(problem)
            except Rejected as refusal:
                problems[name] = f"`{name}` was refused: {refusal}"
        elif isinstance(complaints.get(name), str):
            problems[name] = shown(complaints[name], SENTENCE)
        else:
            missing.append(name)
    return Evidence(
        step.id,
        seed,
        answers,
        problems,
        tuple(missing),
        conf=_conf(_dict(raw, "conf")) if holds_plans(step) or step.conf else {},
        views=scene.commands,
    )


def taken_over(conf: dict[str, str]) -> dict[str, str]:
    """The settings that a trusted session takes over from a learner's; the others stay as that session has them."""
    kept = {}
    for name, value in conf.items():
        try:
            check_conf(name, value)
        except Rejected:
            continue
        kept[name] = value
    return kept


def _answer(step: Step, answer: Answer, value: Any, scene: Scene, kept: Path | None) -> Any:
    match answer.kind:
        case "table":
            return {"table": answer.name.lower()}
        case "value":
            return _value(answer, value)
        case "dataframe":
            # The columns are asked of Spark again; what the file says of them is not looked at.
            try:
                return {"columns": [], "plan": _plan(_dict({"it": value}, "it").get("plan"), scene)}
            except Rejected as refusal:
                if kept is None:
                    raise
                return {"columns": [], "plan": "", "refused": str(refusal), "kept": str(kept)}
        case "run":
            return _run(value, scene)
        case "runs":
            if not isinstance(value, list) or not 0 < len(value) <= RUNS:
                raise Rejected(f"a list of 1 to {RUNS} measured runs is expected.")
            return [_run(each, scene) for each in value]
        case "file":
            name, text = (_dict({"it": value}, "it").get(key) for key in ("name", "text"))
            if not isinstance(name, str) or not isinstance(text, str) or len(text.encode()) > FILE_LIMIT:
                raise Rejected(f"a file of at most {FILE_LIMIT:,} bytes is expected.")
            return {"name": shown(name), "text": text}
        case "definition":
            return used.checked_definition(answer.name, value)
        case "files":
            return used.checked_files(answer, value)
        case "state":
            return used.checked_state(answer, used.schema_of(step, answer), plain(value))


def _given(answer: Answer, given: Any, value: Any) -> Any:
    """What a lesson gives: the solution's, except that a run's stages are those of the learner's own run."""
    if answer.kind != "run":
        return given
    try:
        return {**given, "stages": _stages(_dict({"it": value}, "it").get("stages"))}
    except Rejected:
        return {**given, "stages": []}  # the check finds that these are not its query's


def _run(value: Any, scene: Scene) -> dict[str, Any]:
    run = _dict({"it": value}, "it")
    return {
        "tag": _short(run.get("tag")),
        "label": _short(run.get("label")),
        "plan": _plan(run.get("plan"), scene),
        "stages": _stages(run.get("stages")),
    }


def _stages(value: Any) -> list[dict[str, int]]:
    if not isinstance(value, list) or len(value) > STAGES:
        raise Rejected(f"a run of at most {STAGES} stages is expected.")
    return [
        {name: _count(_dict({"it": each}, "it").get(name)) for name in ("stage", "shuffle_bytes", "run_time")}
        for each in value
    ]


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise Rejected("a stage's figures are whole numbers.")
    return value


def _plan(text: Any, scene: Scene) -> str:
    """A serialised plan, made anew from the relation that was checked."""
    relation, _ = check_answer(_bytes(text), scene)
    return base64.b64encode(proto.Plan(root=relation).SerializeToString()).decode()


def _views(value: Any) -> list[str]:
    """Commands as the file has them; those that are refused are left out of the scene, with a reason for plans that need them."""
    if not isinstance(value, list) or len(value) > VIEWS or not all(isinstance(text, str) for text in value):
        raise Rejected(
            f"The evidence names more than {VIEWS} statements, or none in the way that check() does."
        )
    return value


def _conf(value: dict[str, Any]) -> dict[str, str]:
    if len(value) > SETTINGS:
        raise Rejected(f"The evidence names more than {SETTINGS} settings.")
    return {
        _short(name): _short(each)
        for name, each in value.items()
        if isinstance(each, str) and len(each) <= TEXT
    }


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Rejected("it is not in base64.") from None


def _dict(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key, {})
    if not isinstance(value, dict):
        raise Rejected("The evidence does not have the form that check() gives it.")
    return value


def _short(value: Any) -> str:
    if not isinstance(value, str):
        raise Rejected("The evidence does not have the form that check() gives it.")
    return shown(value, TEXT)
