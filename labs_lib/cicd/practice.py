"""A project to try workflows on: the layout of `retail/`, with tests that need no Spark, so that a run takes a second or two."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).with_name("practice")

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
