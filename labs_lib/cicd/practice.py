"""A project to try workflows on: the layout of `retail/`, with tests that need no Spark, so that a run takes a second or two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labs_lib.cicd.workflows import Shop
from labs_lib.errors import LabsError

ROOT = "retail.git"
_ROOT = Path(__file__).with_name("practice_project")

PRACTICE: dict[str, str] = {
    path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(_ROOT.rglob("*"))
    if path.is_file() and path.suffix in {".py", ".toml"}
}
# One line that makes a check of the project fail, by what it breaks: the file that it is added to, and the line.
FAULTS = {
    "a red unit test": ("tests/unit/test_prices.py", "\n\ndef test_nothing_costs_nothing():\n    assert line_total(0, 100) == 1\n"),
    "a red integration test": ("tests/integration/test_receipt.py", "\n\ndef test_an_empty_receipt():\n    assert receipt([]) == {}\n"),
    "a lint error": ("src/retail/receipt.py", "\n\nimport os\n"),
}  # fmt: skip


def with_fault(files: dict[str, str], fault: str) -> dict[str, str]:
    """The project with one of the faults in it."""
    path, line = FAULTS[fault]
    return {**files, path: files[path] + line}


def repository(shop: Shop, files: Mapping[str, str]) -> dict[str, str]:
    """A bare repository with the project in it, well and with each fault: commits by fault."""
    commits = {}
    who = {"GIT_AUTHOR_NAME": "ana", "GIT_AUTHOR_EMAIL": "ana@corner.shop", "GIT_COMMITTER_NAME": "ana", "GIT_COMMITTER_EMAIL": "ana@corner.shop"}  # fmt: skip
    shop.run(["git", "init", "-q", "--bare", "-b", "main", ROOT])
    shop.run(["git", "init", "-q", "-b", "main", "laid"])
    for fault in ("", *FAULTS):
        shop.lay("laid", with_fault(dict(files), fault) if fault else files)
        name = fault.replace(" ", "-") or "main"
        script = f'git checkout -q -B {name} && git add -A && git commit -qm "$1" && git push -q ../{ROOT} {name} && git rev-parse HEAD'
        ran = shop.run(["sh", "-ec", script, "commit", fault or "The project"], "laid", who)
        if not ran.well:
            raise LabsError(f"the repository can't be made: {ran.said}")
        commits[fault] = ran.out.strip()
        if fault:
            shop.run(["git", "checkout", "-q", "main"], "laid")
    return commits
