"""Deploy the commit that is checked out: `python deploy.py prod`.

Lays the package's files below /Shared/retail/prod in the workspace that DATABRICKS_HOST and DATABRICKS_TOKEN name, and notes the commit in
release.json there, last of all: whoever reads it knows that everything else is in place. Needs nothing but Python and git.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Deploy to the target that the command names."""
    if len(sys.argv) != 2 or not sys.argv[1].isidentifier():
        sys.exit("Usage: python deploy.py TARGET, for example prod.")
    if missing := [name for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN") if not os.environ.get(name)]:
        sys.exit(f"The environment has no {' and no '.join(missing)}; a deployment needs both.")
    folder, commit = f"/Shared/retail/{sys.argv[1]}", git("rev-parse", "HEAD")
    if git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("There are changes that aren't committed; what is deployed has to be a commit.")
    files = {
        path: (ROOT / path).read_bytes()
        for path in git("ls-files", "src", "*.yml", "*.toml").split("\n")
        if not path.startswith(".")
    }
    for path, content in files.items():
        put(f"{folder}/{path}", content)
    for path in present(folder) - {f"{folder}/{path}" for path in files} - {f"{folder}/release.json"}:
        ask("POST", "/api/2.0/workspace/delete", {"path": path})
    put(f"{folder}/release.json", json.dumps({"commit": commit, "files": len(files)}).encode())
    print(f"{sys.argv[1]} has the commit {commit[:7]} now: {len(files)} files")


def put(path: str, content: bytes) -> None:
    """Lay a file into the workspace, with the folders above it."""
    ask("POST", "/api/2.0/workspace/mkdirs", {"path": path.rpartition("/")[0]})
    body = {"path": path, "content": base64.b64encode(content).decode(), "format": "RAW", "overwrite": True}
    ask("POST", "/api/2.0/workspace/import", body)


def present(folder: str) -> set[str]:
    """The files below a folder of the workspace."""
    found = set()
    for each in ask("GET", f"/api/2.0/workspace/list?path={folder}").get("objects", []):
        found |= present(each["path"]) if each["object_type"] == "DIRECTORY" else {each["path"]}
    return found


def ask(method: str, path: str, body: dict[str, object] | None = None) -> dict[str, list[dict[str, str]]]:
    """One request to the workspace. Ends the program with the workspace's sentence if it refuses."""
    request = urllib.request.Request(
        os.environ["DATABRICKS_HOST"].rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['DATABRICKS_TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"The workspace refused {method} {path}: {json.load(error)['message']}")


def git(*arguments: str) -> str:
    """What git answers."""
    return subprocess.run(
        ("git", *arguments), cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
