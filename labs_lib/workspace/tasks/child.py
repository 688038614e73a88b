"""Runs a task that isn't a Python file: `python -m labs_lib.workspace.tasks.child notebook|sql`, in the process that `keep` keeps.

What it is to do is in task.json in the task's folder. It ends with 0 if the task succeeded, and else prints why.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from labs_lib.workspace.tasks.clock import FOLDER

PRELUDE = """\
from labs_lib.workspace.tasks.dbutils import DBUtils
dbutils = DBUtils()
"""
SPARK_PRELUDE = """\
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
def display(frame, *_):
    frame.show() if hasattr(frame, "show") else print(frame)
get_ipython().register_magic_function(lambda line, cell: spark.sql(cell).show(), "cell", "sql")
"""


def main(kind: str) -> int:
    """Do what task.json says; returns the code to exit with."""
    folder = Path(os.environ[FOLDER])
    told = json.loads((folder / "task.json").read_text())
    return {"notebook": notebook, "sql": sql}[kind](folder, told)


def notebook(folder: Path, told: dict[str, Any]) -> int:
    """Run the notebook by papermill; parameters reach it by dbutils.widgets, and as variables where a cell has the tag `parameters`."""
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source = nbformat.read(folder / "input.ipynb", as_version=4)
    prelude = nbformat.v4.new_code_cell(PRELUDE + (SPARK_PRELUDE if "SPARK_REMOTE" in os.environ else ""))
    for cell in source.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(
                r"\A%(sql|python)\b[ \t]*\n?", lambda m: "%%sql\n" if m[1] == "sql" else "", cell.source
            )
    source.cells.insert(0, prelude)
    tagged = any("parameters" in cell.metadata.get("tags", []) for cell in source.cells)
    source.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    try:
        papermill.execute_notebook(
            source,
            str(folder / "output.ipynb"),
            parameters=told["parameters"] if tagged else None,
            progress_bar=False,
            log_output=True,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            cwd=told["cwd"],
        )
    except PapermillExecutionError as error:
        if error.ename == "NotebookExit":
            return 0
        print(re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback)), file=sys.stderr)
        return 1
    return 0


def sql(folder: Path, told: dict[str, Any]) -> int:
    """Run the file's statements one after the other through the workspace's SQL door, as the task's principal."""
    for statement in statements(told["text"]):
        answer = sql_task(statement, told["warehouse_id"], told["parameters"])
        (folder / "sql.json").write_text(json.dumps(answer))
        state = answer["status"]["state"]
        if state != "SUCCEEDED":
            print(
                answer["status"].get("error", {}).get("message", f"The statement ended as {state}."),
                file=sys.stderr,
            )
            return 1
        for row in answer.get("result", {}).get("data_array", [])[:1000]:
            print("\t".join("" if value is None else str(value) for value in row))
    return 0


def statements(text: str) -> list[str]:
    """A file's statements, parted by semicolons that stand outside of strings and comments."""
    from sqlglot.dialects import Databricks
    from sqlglot.tokens import TokenType

    ends = [token.start for token in Databricks().tokenize(text) if token.token_type is TokenType.SEMICOLON]
    parts = [text[a:b] for a, b in zip([0, *(end + 1 for end in ends)], [*ends, len(text)], strict=True)]
    return [part.strip() for part in parts if Databricks().tokenize(part)]


def sql_task(statement: str, warehouse_id: str, parameters: dict[str, str]) -> dict[str, Any]:
    """The border to the SQL door: run one statement by the statement execution interface, and wait for its end."""
    import httpx

    headers = {"Authorization": f"Bearer {os.environ['DATABRICKS_TOKEN']}"}
    with httpx.Client(
        base_url=os.environ["DATABRICKS_HOST"], headers=headers, timeout=120, trust_env=False
    ) as door:
        named = [{"name": name, "value": value} for name, value in parameters.items()]
        body = {
            "statement": statement,
            "warehouse_id": warehouse_id,
            "wait_timeout": "50s",
            "parameters": named,
        }
        answer = door.post("/api/2.0/sql/statements", json=body)
        while True:
            told: dict[str, Any] = answer.json()
            if answer.is_error:
                return {"status": {"state": "FAILED", "error": {"message": told.get("message", answer.text)}}}
            if told["status"]["state"] not in ("PENDING", "RUNNING"):
                return told
            time.sleep(0.5)
            answer = door.get(f"/api/2.0/sql/statements/{told['statement_id']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
