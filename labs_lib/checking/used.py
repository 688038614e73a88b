"""Answers that are judged by being used: a definition, a folder of files, a state. How each is taken, and what it may hold.

A notebook takes them with these rules, and the grader holds what came out of a sandbox to the same ones.
"""

from __future__ import annotations

import json
import linecache
import os
import re
import stat
import symtable
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from types import CodeType
from typing import Any

from labs_lib import registry
from labs_lib.registry import Answer, Step

SOURCE_LIMIT = 200_000  # bytes of a definition's cell or module
FILES = 200  # of one answer
FILE_LIMIT = 200_000  # bytes of one of them, which is source code or configuration
FILES_LIMIT = 2 * 2**20  # bytes of all of them
STATE_LIMIT = 2**20  # bytes of a state as JSON
PATH_LIMIT = 200  # characters of a path below the folder
LOOKS = 20_000  # files and folders that are looked at below the folder
PART = re.compile(
    r"[\w.@+=, -]*[\w@+=,-]"
)  # of a path: no separators, no control characters, no dot or space at the end


class Unusable(Exception):
    """The answer is there and is not what the step asks for; the message is for the learner."""


def definition(name: str, value: Any, cells: Sequence[str]) -> dict[str, str]:
    """A definition as its source: the cell that was run last of those that define it, or the module that it was imported from.

    `cells` are the notebook's cells as they were run. A module counts if its file is below the current folder, as `%%writefile` writes
    it. Raises Unusable if there is no such source.
    """
    module = str(getattr(value, "__module__", ""))
    file = getattr(sys.modules.get(module), "__file__", None) if module != "__main__" or not cells else None
    if file and Path(file).resolve().is_relative_to(Path.cwd().resolve()) and Path(file).is_file():
        origin, source = Path(file).name, Path(file).read_text(errors="replace")
    else:
        # A cell that was run without a history, as nbval runs it, is in no list; the compiler still knows what it compiled.
        run = (*reversed(cells), _compiled_from(value))
        origin, source = "", next((cell for cell in run if _defines(cell, name)), "")
    if not source:
        raise Unusable(
            f"`{name}` is there, but no cell that was run defines it: put its class, `def` or assignment into the answer cell, "
            "at the beginning of a line and without `%%` above, and run that."
        )
    return checked_definition(name, {"origin": origin, "source": source})


def _compiled_from(value: Any) -> str:
    """The cell that IPython compiled a function or class from; empty if it is neither, or of no cell."""
    functions = (value, *(vars(value).values() if isinstance(value, type) else ()))
    codes = (getattr(each, "__code__", None) for each in functions)
    return next(
        ("".join(linecache.getlines(code.co_filename)) for code in codes if isinstance(code, CodeType)), ""
    )


def checked_definition(name: str, captured: Any) -> dict[str, str]:
    """A captured definition with nothing else in it. Raises Unusable if it is none, or too long."""
    origin, source = _text(captured, "origin"), _text(captured, "source")
    if origin is None or source is None or (origin and not PART.fullmatch(origin)):
        raise Unusable(f"`{name}` should be a function or class as its source.")
    if (size := len(source.encode(errors="replace"))) > SOURCE_LIMIT:
        raise Unusable(f"`{name}` is defined in a source of {size:,} bytes; {SOURCE_LIMIT:,} is the most.")
    return {"origin": origin, "source": source}


def files(answer: Answer, value: Any, workspace: Path) -> dict[str, str]:
    """The files of a folder that match the answer's patterns: {path below it: text}.

    The folder has to be below the current one or the workspace. Links are not followed, and one that matches is refused. Raises Unusable.
    """
    folder = Path(value) if isinstance(value, str | Path) else None
    if folder is None or not folder.is_dir():
        raise Unusable(
            f"`{answer.name}` should be the path of a folder that exists; it is {str(value)[:100]!r}."
        )
    folder = folder.resolve()
    if not any(folder.is_relative_to(root.resolve()) for root in (Path.cwd(), workspace)):
        raise Unusable(
            f"`{answer.name}` names a folder outside of your notebook's; put the files below that."
        )
    found: dict[str, str] = {}
    looks = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        looks += len(folders) + len(names)
        if looks > LOOKS:
            raise Unusable(
                f"`{answer.name}` names a folder with more than {LOOKS:,} files; give the answer's files one of their own."
            )
        for path in (Path(parent, name) for name in sorted([*names, *folders])):
            below = path.relative_to(folder).as_posix()
            if not _matches(below, answer.patterns) or (path.is_dir() and not path.is_symlink()):
                continue
            if not stat.S_ISREG(path.lstat().st_mode):
                raise Unusable(
                    f"`{answer.name}`: {below} is a link or no plain file; put the file itself there."
                )
            if path.stat().st_size > FILE_LIMIT:
                raise Unusable(
                    f"`{answer.name}`: {below} has {path.stat().st_size:,} bytes; {FILE_LIMIT:,} is the most for a file."
                )
            try:
                found[below] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise Unusable(f"`{answer.name}`: {below} is no text in UTF-8.") from None
            if len(found) > FILES:
                break
    return checked_files(answer, found)


def checked_files(answer: Answer, captured: Any) -> dict[str, str]:
    """Captured files by path, each a plain path below the folder and of the right kind. Raises Unusable for any other."""
    if not isinstance(captured, dict) or not all(isinstance(text, str) for text in captured.values()):
        raise Unusable(f"`{answer.name}` should be a folder of text files.")
    if not captured:
        raise Unusable(f"`{answer.name}` holds no file like {' or '.join(answer.patterns)}.")
    if len(captured) > FILES:
        raise Unusable(f"`{answer.name}` holds more than {FILES} files like {' or '.join(answer.patterns)}.")
    for path, text in captured.items():
        parts = path.split("/")
        if len(path) > PATH_LIMIT or not all(PART.fullmatch(part) for part in parts):
            raise Unusable(
                f"`{answer.name}` holds a file with a name that can't be taken: {path[:80]!r}. Use letters, digits, and . - _ in names."
            )
        if not _matches(path, answer.patterns):
            raise Unusable(f"`{answer.name}` holds {path}, which is not asked for.")
        if any("/".join(parts[:depth]) in captured for depth in range(1, len(parts))):
            raise Unusable(f"`{answer.name}` holds {path} below what is a file itself.")
        if (size := len(text.encode(errors="replace"))) > FILE_LIMIT:
            raise Unusable(
                f"`{answer.name}`: {path} has {size:,} bytes; {FILE_LIMIT:,} is the most for a file."
            )
    if (total := sum(len(text.encode(errors="replace")) for text in captured.values())) > FILES_LIMIT:
        raise Unusable(
            f"`{answer.name}` holds files of {total:,} bytes; {FILES_LIMIT:,} is the most together."
        )
    return {path: captured[path] for path in sorted(captured)}


def lay(captured: Mapping[str, str], folder: Path) -> None:
    """Write captured files below a folder, which is made if need be."""
    for path, text in captured.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def checked_state(answer: Answer, schema: Mapping[str, Any], captured: Any) -> Any:
    """A state of plain JSON that fits its schema. Raises Unusable with the place that fits least."""
    from jsonschema import Draft202012Validator  # late: it takes a quarter of a second
    from jsonschema.exceptions import best_match

    if (size := len(json.dumps(captured))) > STATE_LIMIT:
        raise Unusable(f"`{answer.name}` takes {size:,} bytes as JSON; {STATE_LIMIT:,} is the most.")
    wrong = best_match(Draft202012Validator(schema).iter_errors(captured))
    if wrong is not None:
        place = f"at {wrong.json_path.removeprefix('$').lstrip('.')}, " if wrong.absolute_path else ""
        raise Unusable(
            f"`{answer.name}` doesn't have the form that the task describes: {place}{wrong.message[:200]}."
        )
    return captured


def schema_of(step: Step, answer: Answer) -> dict[str, Any]:
    """The JSON schema that a state has to fit, from the room of the step's module."""
    room = resources.files(f"labs_lib.{registry.room(registry.module_of(step.id).name)}")
    found: dict[str, Any] = json.loads(
        (room / "schemas" / f"{answer.schema}.json").read_text(encoding="utf-8")
    )
    return found


def told(answer: Answer, captured: Any) -> str:
    """What was taken for such an answer, as a card says it; "" for the other kinds."""
    match answer.kind:
        case "definition":
            lines = len(captured["source"].splitlines())
            return f"`{answer.name}`: {lines} lines of {captured['origin'] or 'your cell'}, run by themselves"
        case "files":
            names, more = list(captured)[:5], len(captured) - 5
            return f"`{answer.name}`: {', '.join(names)}" + (f" and {more} more" if more > 0 else "")
        case "state":
            return f"`{answer.name}`: {len(json.dumps(captured)):,} bytes of JSON"
    return ""


def _defines(cell: str, name: str) -> bool:
    """Whether a cell gives the name something at its top level, other than by an import."""
    try:
        table = symtable.symtable(cell, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    known = {symbol.get_name(): symbol for symbol in table.get_symbols()}
    return name in known and known[name].is_assigned() and not known[name].is_imported()


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(_fits(path.split("/"), pattern.split("/")) for pattern in patterns)


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _text(captured: Any, key: str) -> str | None:
    text = captured.get(key) if isinstance(captured, dict) else None
    return text if isinstance(text, str) else None
