"""Tickets that go from a branch to production and, one of them, back: a repository with a gate, a workspace, and what became of each ticket."""

from __future__ import annotations

import base64
import json
import random
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labs_lib.cicd import workflows
from labs_lib.cicd.hub import API, GIT, MAIN, STATUS, Hub, Pull, workflows_of
from labs_lib.cicd.practice import PRACTICE
from labs_lib.cicd.relay import WorkspaceRelay, service_principal, token_of
from labs_lib.cicd.shell import Serve
from labs_lib.cicd.workflows import Event, Run, Shop
from labs_lib.errors import LabsError
from labs_lib.workspace.trial import Trial, trial

SHARED = "/Shared/retail"
SECONDS = 110  # for one ticket
# One ticket in a process of its own: what is not in the repository or in the hub is forgotten.
PROGRAM = """
import json, sys
from pathlib import Path
sys.path.insert(0, "answer")
from labs_lib.cicd.hub_client import HubClient
from delivery import deliver
print(json.dumps({"word": deliver(HubClient(sys.argv[1], sys.argv[2]), Path("clone").resolve(), json.loads(sys.argv[3]))}))
"""

Opened = Callable[[Serve], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Ticket:
    """A change that somebody asks for. `kind` is what it turns out to be: good, red (its tests fail) or bad (its tests pass, and production suffers)."""

    kind: str
    branch: str
    title: str
    files: dict[str, str]
    version: str

    def told(self) -> dict[str, Any]:
        """What `deliver` is given of it."""
        return {name: getattr(self, name) for name in ("branch", "title", "files", "version")}


@dataclass
class Told:
    """What became of a ticket. `word` is what `deliver` returned, `error` how it ended otherwise."""

    ticket: Ticket
    word: Any = None
    error: str = ""
    main: tuple[str, str] = ("", "")  # before and after
    moves: list[str] = field(
        default_factory=list
    )  # main's commits since, the oldest first, and those of merged branches left out
    prod: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    trees: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    tags: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  # new ones: {name: (kind of object, commit)}
    pulls: list[Pull] = field(default_factory=list)  # new ones
    refused: list[str] = field(default_factory=list)


def tickets(name: str) -> tuple[list[Ticket], tuple[str, dict[str, str]]]:
    """Four tickets in the order of a draw, and what a colleague merges meanwhile: a title and files."""
    draw = random.Random(f"3b tickets {name}")
    letters = draw.sample(["vouchers", "deposits", "loyalty", "bundles", "weighing", "returns"], 3)
    number = draw.randint(100, 900)
    low, high = draw.randint(2, 9), draw.randint(11, 40)
    made = [_module(letters[0], low, number), _module(letters[1], high, number + 3)]
    prices = PRACTICE["src/retail/prices.py"]
    red = {
        "src/retail/prices.py": prices.replace("pieces >= DISCOUNT_FROM", "pieces > DISCOUNT_FROM"),
        "tests/unit/test_prices.py": PRACTICE["tests/unit/test_prices.py"]
        + f"\n\ndef test_{low}_pieces():\n    assert line_total({low}, 1) == {low}\n",
    }
    fee = draw.randint(1, 90)
    receipt = PRACTICE["src/retail/receipt.py"].replace(
        '"total": sum(totals.values())', f'"total": sum(totals.values()) + {fee}'
    )
    bad = {
        "src/retail/receipt.py": receipt,
        "tests/integration/test_receipt.py": PRACTICE["tests/integration/test_receipt.py"].replace(
            '"total": 840', f'"total": {840 + fee}'
        ),
    }
    kinds = [
        ("good", f"feature/{letters[0]}-{number}", f"Add {letters[0]} to the shop", made[0]),
        ("red", f"feature/discount-{number + 1}", "Discounts begin one piece later", red),
        ("bad", f"feature/fee-{number + 2}", f"Charge {fee} cents for each receipt", bad),
        ("good", f"feature/{letters[1]}-{number + 3}", f"Add {letters[1]} to the shop", made[1]),
    ]
    draw.shuffle(kinds)
    major = draw.randint(1, 7)
    found = [Ticket(kind, branch, title, files, f"v{major}.{minor}.0") for minor, (kind, branch, title, files) in enumerate(kinds, draw.randint(1, 9))]  # fmt: skip
    return found, (f"Add {letters[2]} to the shop", _module(letters[2], low + high, number + 4))


def _module(name: str, amount: int, number: int) -> dict[str, str]:
    source = f'"""{name.capitalize()} of the shop (ticket {number})."""\n\n\ndef {name}(pieces: int) -> int:\n    """Cents for so many pieces."""\n    return {amount} * pieces\n'
    test = f"from retail.{name} import {name}\n\n\ndef test_{name}():\n    assert {name}(3) == {3 * amount}\n"
    return {f"src/retail/{name}.py": source, f"tests/unit/test_{name}.py": test}


def play(opened: Opened, files: Mapping[str, str], name: str) -> list[Told]:
    """Have `deliver` of delivery.py take each ticket of a draw to production, or not, in a repository whose workflows are those of `files`.

    `opened` gives a place for commands whose address is served by the function that it is given.
    """
    with (
        trial({}) as w,
        tempfile.TemporaryDirectory(prefix="labs-hub-", ignore_cleanup_errors=True) as folder,
    ):
        stage = _Stage(w, Path(folder), name)
        with opened(stage.serve) as shop:
            return stage.played(shop, files)


class _Stage:
    """A hub, a workspace that it deploys to, and the place where everything runs."""

    def __init__(self, w: Trial, folder: Path, name: str) -> None:
        self.w, self.relay = w, WorkspaceRelay(w)
        self.tickets, self.colleague = tickets(name)
        self.hub = Hub(folder, secrets.token_hex(16), self._check, self._status, self._meanwhile)
        self.secret = lay(w)
        self.shop: Any = None
        self._number = 0
        self._quicker = False
        self._late = ""  # what is said of a run that didn't end

    def serve(self, method: str, path: str, headers: dict[str, str], body: str) -> dict[str, Any]:
        """A request for the hub or for the workspace."""
        ours = path.startswith((f"{API}/", f"{GIT}/", f"{STATUS}/"))
        return self.hub(method, path, headers, body) if ours else self.relay(method, path, headers, body)

    def played(self, shop: Shop, files: Mapping[str, str]) -> list[Told]:
        """What became of each ticket."""
        self.shop = shop
        project = {**PRACTICE, **workflows.only_workflows(files)}
        first = self.hub.begin(project, "ana")
        release(self.w, project, first)
        shop.lay("answer", {"delivery.py": files.get("delivery.py", "")})
        address = str(getattr(shop, "address", ""))
        remote = f"{address.replace('://', f'://team:{self.hub.token}@')}/git/retail.git"
        shop.run(["git", "clone", "-q", remote, "clone"])
        found = []
        for ticket in self.tickets:
            found.append(self._one(shop, ticket, address))
            if self._late:
                raise LabsError(self._late)
        return found

    def _one(self, shop: Shop, ticket: Ticket, address: str) -> Told:
        hub, told = self.hub, Told(ticket)
        main, prod, tags = hub.has(MAIN), deployed(self.w), self._tags()
        pulls, refused = len(hub.pulls), len(hub.refused())
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "ana"), ("EMAIL", "ana@corner.shop"))}  # fmt: skip
        command = ["python", "-c", PROGRAM, address, hub.token, json.dumps(ticket.told())]
        ran = shop.run(
            command,
            environment={
                **who,
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_EDITOR": "true",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            seconds=SECONDS,
        )
        if ran.code is None:
            raise LabsError(f"`deliver` took longer than {SECONDS} s for {ticket.title!r}.")
        try:
            told.word = json.loads(ran.out.strip().splitlines()[-1])["word"] if ran.well else None
        except (ValueError, KeyError, IndexError, TypeError):
            told.word = None
        told.error = "" if ran.well else ran.said
        now = hub.has(MAIN)
        told.main, told.prod = (main, now), (prod, deployed(self.w))
        told.moves = hub.git("log", "--first-parent", "--reverse", "--format=%H", f"{main}..{now}").split()
        told.trees = hub.files(main, "src"), hub.files(now, "src")
        told.tags = {tag: what for tag, what in self._tags().items() if tag not in tags}
        told.pulls, told.refused = hub.pulls[pulls:], hub.refused()[refused:]
        return told

    def _tags(self) -> dict[str, tuple[str, str]]:
        listed = self.hub.git(
            "for-each-ref", "refs/tags", "--format=%(refname:short) %(objecttype)"
        ).splitlines()
        return {
            tag: (kind, self.hub.has(f"refs/tags/{tag}"))
            for tag, kind in (line.rsplit(" ", 1) for line in listed)
        }

    def _check(self, event: Event) -> list[Run]:
        self._number += 1
        files = workflows_of(self.hub, event.commit)
        changed = self.hub.git(
            "diff-tree", "--no-commit-id", "--name-only", "-r", "-m", "--first-parent", event.commit
        ).splitlines()
        address = str(self.shop.address)
        origin = f"{address.replace('://', f'://team:{self.hub.token}@')}/git/retail.git"
        try:
            return workflows.run(
                self.shop,
                origin,
                files,
                event,
                name=f"checks-{self._number}",
                secret=self.secret,
                address=address,
                changed=changed,
            )
        except LabsError as error:
            self._late = str(error)
            raise

    def _status(self) -> dict[str, Any]:
        """What monitoring says of production: the fee of the bad ticket makes customers complain."""
        has = deployed(self.w)
        bad = next(ticket for ticket in self.tickets if ticket.kind == "bad")
        told = {
            "status": "healthy",
            "commit": json.loads(has.get("release.json", "{}")).get("commit", ""),
            "reason": "",
        }
        if has.get("src/retail/receipt.py") == bad.files["src/retail/receipt.py"]:
            told |= {
                "status": "degraded",
                "reason": "totals don't equal the sums of their lines at the tills",
            }
        return told

    def _meanwhile(self, hub: Hub, pull: Pull) -> None:
        """A colleague's pull request is merged while the first good ticket's checks run."""
        good = next(ticket for ticket in self.tickets if ticket.kind == "good")
        if not self._quicker and pull.head == f"refs/heads/{good.branch}":
            self._quicker = True
            hub.land(self.colleague[1], self.colleague[0], "ben")


# The workspace


def lay(w: Trial) -> str:
    """A folder for deployments, and the token of the service principal that may write there."""
    deployer = service_principal(w, "retail-deployer")
    w.ask("POST", "/api/2.0/workspace/mkdirs", path=SHARED)
    id = w.ask("GET", "/api/2.0/workspace/get-status", path=SHARED)["object_id"]
    grants = [{"service_principal_name": deployer, "permission_level": "CAN_MANAGE"}]
    w.ask("PATCH", f"/api/2.0/permissions/directories/{id}", access_control_list=grants)
    return token_of(w, deployer)


def deployed(w: Trial, target: str = workflows.ENVIRONMENT) -> dict[str, str]:
    """What a target has in the workspace: {path below it: text}."""
    folder = f"{SHARED}/{target}"
    there = w.ask("GET", "/api/labs/state")["files"]["objects"]
    return {
        each["path"][len(folder) + 1 :]: base64.b64decode(each["content"]).decode(errors="replace")
        for each in there
        if each["path"].startswith(f"{folder}/") and each["content"] is not None
    }


def release(w: Trial, files: Mapping[str, str], commit: str) -> None:
    """Have production hold these files, as deploy.py leaves them."""
    kept = {path: text for path, text in files.items() if path.startswith("src/") or path.endswith(".toml")}
    for path, text in {**kept, "release.json": json.dumps({"commit": commit, "files": len(kept)})}.items():
        target = f"{SHARED}/{workflows.ENVIRONMENT}/{path}"
        w.ask("POST", "/api/2.0/workspace/mkdirs", path=target.rpartition("/")[0])
        content = base64.b64encode(text.encode()).decode()
        w.ask("POST", "/api/2.0/workspace/import", path=target, content=content, format="RAW", overwrite=True)


def code(files: Mapping[str, str]) -> dict[str, str]:
    """Those of a target's files that are the program."""
    return {path: text for path, text in files.items() if path.startswith("src/")}


def in_words(played: Sequence[Told]) -> str:
    """What became of each ticket, as a notebook prints it."""
    lines = []
    for told in played:
        gone = told.error or f"deliver says {told.word!r}"
        same = code(told.prod[0]) == code(told.prod[1])
        lines.append(f"{told.ticket.version}  {told.ticket.title}: {gone}")
        lines.append(f"        main moved {len(told.moves)} times, prod {'is as it was' if same else 'has new code'}, new tags: {', '.join(told.tags) or 'none'}")  # fmt: skip
        lines += [f"        the gate refused a push: {said}" for said in told.refused]
    return "\n".join(lines)
