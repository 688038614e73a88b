"""The bundle tool: what each wrong file is told, what targets come to, and what a deployment leaves in a workspace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pytest

from labs_lib.cicd import rest
from labs_lib.cicd.bundle import deploying, resolving, schema, tree
from labs_lib.cicd.bundle.commands import files_of
from labs_lib.cicd.bundle.tree import BundleError
from labs_lib.workspace import identity
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.trial import Trial, trial

USER = identity.LEARNER
MAIN = """\
bundle:
  name: retail
include: [resources/*.yml]
variables:
  workers: {default: 1}
  alerts: {default: ""}
targets:
  dev:
    mode: development
    default: true
  qa:
    variables: {workers: 2}
    presets: {trigger_pause_status: PAUSED}
  prod:
    mode: production
    variables: {workers: 8, alerts: ops@example.com}
    workspace: {root_path: "/Shared/.bundle/${bundle.name}/${bundle.target}"}
    resources:
      jobs:
        load:
          email_notifications: {on_failure: ["${var.alerts}"]}
          job_clusters:
            - job_cluster_key: main
              new_cluster: {node_type_id: m5.2xlarge}
"""
JOB = """\
resources:
  jobs:
    load:
      name: load ${bundle.target}
      schedule: {quartz_cron_expression: 0 30 5 * * ?, timezone_id: UTC}
      job_clusters:
        - job_cluster_key: main
          new_cluster:
            spark_version: 17.3.x-scala2.13
            node_type_id: m5.xlarge
            num_workers: ${var.workers}
      tasks:
        - task_key: load
          job_cluster_key: main
          spark_python_task:
            python_file: ../src/load.py
            parameters: ["--root=${workspace.root_path}", "${var.workers}"]
"""
FILES = {"databricks.yml": MAIN, "resources/load.yml": JOB}
PATHS = frozenset({*FILES, "src/load.py"})


def resolved(target: str = "dev", files: Mapping[str, str] = FILES, **given: str) -> resolving.Resolved:
    return resolving.resolve(resolving.load(files, PATHS), target, USER, given)


def job(target: str, files: Mapping[str, str] = FILES) -> dict[str, Any]:
    return resolved(target, files).resources["jobs"]["load"]


def test_development_mode_prefixes_pauses_and_tags() -> None:
    found = job("dev")
    assert found["name"] == "[dev learner] load dev"
    assert found["schedule"]["pause_status"] == "PAUSED"
    assert found["tags"] == {"dev": "learner"}
    assert found["max_concurrent_runs"] == 4
    assert resolved("dev").root_path == f"/Users/{USER}/.bundle/retail/dev"


def test_a_target_has_its_own_values_presets_and_overrides() -> None:
    assert job("qa")["name"] == "load qa"
    assert job("qa")["schedule"]["pause_status"] == "PAUSED"
    assert "pause_status" not in job("prod")["schedule"]
    assert job("prod")["email_notifications"] == {"on_failure": ["ops@example.com"]}
    cluster = job("prod")["job_clusters"][0]["new_cluster"]
    assert (cluster["node_type_id"], cluster["num_workers"], cluster["spark_version"]) == (
        "m5.2xlarge",
        8,
        "17.3.x-scala2.13",
    )


def test_references_keep_their_type_alone_and_are_text_within_a_text() -> None:
    task = job("prod")["tasks"][0]["spark_python_task"]
    assert task["parameters"] == ["--root=/Shared/.bundle/retail/prod", "8"]
    assert task["python_file"] == "/Shared/.bundle/retail/prod/files/src/load.py"


def test_a_value_that_is_given_comes_before_all_others() -> None:
    assert (
        resolved("prod", workers="3").resources["jobs"]["load"]["job_clusters"][0]["new_cluster"][
            "num_workers"
        ]
        == 3
    )


def test_a_complex_variable_brings_a_whole_part() -> None:
    main = MAIN.replace(
        "workers: {default: 1}", "workers: {default: 1}\n  tags: {type: complex, default: {team: sales}}"
    )
    with_tags = {"databricks.yml": main, "resources/load.yml": JOB + "      tags: ${var.tags}\n"}
    assert job("qa", with_tags)["tags"] == {"team": "sales"}


def test_an_alias_is_what_its_anchor_is() -> None:
    main = MAIN.replace("variables: {workers: 2}", "variables: &own {workers: 2}").replace(
        "    variables: {workers: 8, alerts: ops@example.com}", "    variables: *own"
    )
    assert resolved("prod", {**FILES, "databricks.yml": main}).variables["workers"] == 2


def changed(old: str, new: str, file: str = "databricks.yml") -> dict[str, str]:
    assert old in FILES[file]
    return {**FILES, file: FILES[file].replace(old, new, 1)}


WRONG = {
    "an unknown key": (changed("num_workers", "num_worker", "resources/load.yml"), "resources/load.yml, line 11: .*no 'num_worker'; did you mean 'num_workers'"),
    "an unknown key of the file": (changed("targets:", "target:"), "databricks.yml, line 7: .*no 'target'; did you mean 'targets'"),
    "something of Databricks that isn't here": (MAIN + "artifacts: {}\n", "databricks.yml, line .*'artifacts', which is a bundle's on Databricks"),
    "a wrong type": (changed("${var.workers}", "many", "resources/load.yml"), "line 11: .*num_workers is 'many'; it has to be a whole number"),
    "a wrong type by a variable": (changed("workers: {default: 1}", "workers: {default: one}"), "line 11: .*is 'one'; it has to be a whole number"),
    "a list for a mapping": (changed("schedule: {quartz_cron_expression: 0 30 5 * * ?, timezone_id: UTC}", "schedule: []", "resources/load.yml"), "line 5: .*is a list; it has to be a mapping"),
    "a word that none of an enumeration is": (changed("mode: development", "mode: develop"), "line 9: .*mode is 'develop'; it is one of development, production"),
    "a variable without a value": (changed("workers: {default: 1}", "workers: {}"), "line 5: the variable workers has no value in dev"),
    "a variable that nobody declared": (changed("variables: {workers: 2}", "variables: {worker: 2}"), "line 12: there is no variable worker; did you mean workers"),
    "a reference to no variable": (changed("${var.workers}", "${var.worker}", "resources/load.yml"), r"line 11: \$\{var.worker\} leads nowhere; did you mean \$\{var.workers\}"),
    "a reference to nothing": (changed("${bundle.target}", "${bundle.colour}", "resources/load.yml"), "line 4: .*leads nowhere; there is no 'colour'"),
    "a reference of another kind": (changed("${bundle.target}", "${env.HOME}", "resources/load.yml"), "leads nowhere; there are var, bundle, workspace and resources"),
    "no reference": (changed("${bundle.target}", "${}", "resources/load.yml"), "is no reference"),
    "a reference that isn't closed": (changed("${bundle.target}", "${bundle.target", "resources/load.yml"), "begins no reference"),
    "a cycle of variables": (changed('workers: {default: 1}\n  alerts: {default: ""}', 'workers: {default: "${var.alerts}"}\n  alerts: {default: "${var.workers}"}'), "references go in a circle: var.alerts → var.workers → var.alerts|references go in a circle: var.workers → var.alerts → var.workers"),
    "a target twice": (changed("  qa:", "  dev:"), "line 11: 'dev' stands here for the second time; the first is in line 8"),
    "a thing in two files": ({**FILES, "resources/more.yml": JOB}, "resources/more.yml, line 4: resources.jobs.load.name stands here and in resources/load.yml, line 4"),
    "a host": (changed("mode: development", "workspace: {host: https://x.cloud.databricks.com}"), "line 9: targets.dev.workspace.host names a workspace"),
    "a host in a value": (changed('alerts: {default: ""}', "alerts: {default: 'https://adb-1.2.azuredatabricks.net/x'}"), "line 6: here stands a workspace's address"),
    "a token": (changed('alerts: {default: ""}', f"alerts: {{default: dapi{'0a' * 16}}}"), "line 6: here stands a token"),
    "two default targets": (changed("mode: production", "default: true"), "dev and prod are both the default"),
    "production in somebody's home": (changed('    workspace: {root_path: "/Shared/.bundle/${bundle.name}/${bundle.target}"}\n', ""), "prod is in production mode and would be deployed to /Users"),
    "a path that is none": (changed("/Shared/.bundle", "Shared"), "workspace.root_path is .*; it has to be an absolute path"),
    "a file that isn't there": (changed("../src/load.py", "src/load.py", "resources/load.yml"), "line 16: there is no file resources/src/load.py"),
    "a file outside": (changed("../src/load.py", "../../load.py", "resources/load.yml"), "line 16: .*is outside the bundle's folder"),
    "a file to include that isn't there": (changed("resources/*.yml", "resources/loads.yml"), "line 3: there is no file resources/loads.yml to include"),
    "an included file with a name of its own": ({**FILES, "resources/load.yml": "bundle: {name: other}\n"}, "resources/load.yml, line 1: 'bundle' stands in an included file"),
    "no name": (changed("  name: retail", "  {}"), "databricks.yml has no bundle.name"),
    "a name that is none": (changed("name: retail", "name: a/b"), "bundle.name is 'a/b'"),
    "a value that is a list, of a plain variable": (changed("workers: {default: 1}", "workers: {default: [1]}"), "the value of workers is a list; a variable that holds one has `type: complex`"),
    "no YAML": (changed("targets:", "targets: ["), "databricks.yml, line .*this is no YAML"),
    "no mapping": ({"databricks.yml": "- 1\n"}, "the file is a list; it has to be a mapping"),
    "a second document": (MAIN + "---\na: 1\n", "a second document begins"),
    "a merge key": (changed("mode: development", "<<: {mode: development}"), "the merge key << is not taken"),
    "a tag": (changed("mode: development", "mode: !!python/name:os.system development"), "the tag .*python/name:os.system is not taken"),
    "no anchor": (changed("mode: development", "mode: *mode"), "no anchor|undefined alias"),
    "no file": ({"other.yml": MAIN}, "There is no databricks.yml here"),
    "too deep": ({"databricks.yml": "a: " + "[" * 60 + "]" * 60}, "nested more than 40 levels"),
    "much too deep": ({"databricks.yml": "[" * 50_000}, "nested more than 40 levels|no YAML"),
    "too large": ({"databricks.yml": "#" * 300_000}, "more than 200,000 bytes"),
    "aliases that multiply": ({"databricks.yml": "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))}, "more than 20,000 parts"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_has_a_sentence_of_its_own(name: str) -> None:
    files: Any
    files, sentence = WRONG[name]
    with pytest.raises(BundleError, match=sentence):
        for target in ("dev", "qa", "prod"):
            resolved(target, files if isinstance(files, dict) else {**FILES, "databricks.yml": files})


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("{default: '@@'}", "more than 100,000 characters"),
        ("{type: complex, default: ['@', '@', '@']}", "more than 20,000 parts"),
    ],
)
def test_variables_that_multiply_end_at_once(value: str, sentence: str) -> None:
    chain = "".join(f"  v{n}: {value.replace('@', '${var.v' + str(n + 1) + '}')}\n" for n in range(40))
    main = MAIN.replace("variables:\n", f"variables:\n{chain}  v40: {{default: xx}}\n", 1)
    with pytest.raises(BundleError, match=sentence):
        resolved("dev", {**FILES, "databricks.yml": main})


def test_a_target_that_isnt_there_is_told_with_those_that_are() -> None:
    bundle = resolving.load(FILES, PATHS)
    assert resolving.chosen(bundle) == "dev"
    with pytest.raises(
        BundleError, match=r"There is no target 'prd'; there are dev, qa, prod. Did you mean prod"
    ):
        resolving.chosen(bundle, "prd")
    with pytest.raises(BundleError, match="Which target"):
        resolving.chosen(resolving.load(changed("    default: true\n", ""), PATHS))
    with pytest.raises(BundleError, match="has no targets"):
        resolving.chosen(resolving.load({"databricks.yml": "bundle: {name: retail}\n"}))


def test_what_resources_may_hold_is_what_the_sdk_has() -> None:
    kept = json.loads(resources("labs_lib.cicd.bundle").joinpath("schema.json").read_text())
    assert kept == schema.generated(), "write it anew: python -m labs_lib.cicd.bundle.schema"


class Direct:
    """A trial workspace as the tool's own way to one: no HTTP between them. `asked` counts what changes something."""

    def __init__(self, w: Trial) -> None:
        self.w = w
        self.asked: list[str] = []

    def get(self, path: str, /, **query: Any) -> Any:
        return self.ask("GET", path, query)

    def post(self, path: str, /, **body: Any) -> Any:
        return self.ask("POST", path, body)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if method != "GET":
            self.asked.append(path)
        try:
            return self.w.ask(method, path, USER, **(body or {}))
        except WorkspaceError as error:
            raise rest.Refused(error.message, error.error_code) from None

    def names(self) -> list[str]:
        return sorted(each["settings"]["name"] for each in self.get("/api/2.2/jobs/list", limit=100)["jobs"])


@pytest.fixture
def direct() -> Iterator[Any]:
    with trial({}) as w:
        yield Direct(w)


SOURCES = {"src/load.py": b"print('loaded')\n", "databricks.yml": MAIN.encode()}


def deployed(
    direct: Any,
    target: str,
    files: Mapping[str, str] = FILES,
    commit: str = "c1",
    sources: Mapping[str, bytes] = SOURCES,
) -> list[str]:
    said: list[str] = []
    deploying.deploy(direct, resolved(target, files), sources, commit, said.append)
    return said


def test_targets_lie_beside_each_other(direct: Any) -> None:
    for target in ("dev", "qa", "prod"):
        deployed(direct, target)
    assert direct.names() == ["[dev learner] load dev", "load prod", "load qa"]
    at = resolved("prod").file_path
    assert direct.get("/api/2.0/workspace/get-status", path=f"{at}/src/load.py")["object_type"] == "FILE"


def test_the_same_again_changes_nothing(direct: Any) -> None:
    deployed(direct, "qa")
    direct.asked.clear()
    assert deployed(direct, "qa") == ["files: 0 uploaded, 0 removed, 2 as they were", "jobs.load: as it was"]
    assert direct.asked == []


def test_what_changed_is_changed_and_keeps_its_id(direct: Any) -> None:
    deployed(direct, "qa")
    before = deploying.state_of(direct, resolved("qa")).resources
    files = changed("variables: {workers: 2}", "variables: {workers: 5}")
    assert "jobs.load: changed" in deployed(direct, "qa", files, "c2")
    state = deploying.state_of(direct, resolved("qa"))
    assert (state.resources, state.commit) == (before, "c2")
    settings = direct.get("/api/2.2/jobs/get", job_id=int(before["jobs.load"]))["settings"]
    assert settings["job_clusters"][0]["new_cluster"]["num_workers"] == 5


def test_what_somebody_did_by_hand_is_put_back(direct: Any) -> None:
    deployed(direct, "qa")
    job_id = int(deploying.state_of(direct, resolved("qa")).resources["jobs.load"])
    direct.post("/api/2.2/jobs/update", job_id=job_id, new_settings={"name": "mine"})
    assert "jobs.load: changed" in deployed(direct, "qa")
    direct.post("/api/2.2/jobs/update", job_id=job_id, new_settings={"timeout_seconds": 60})
    assert "jobs.load: changed" in deployed(direct, "qa")
    direct.post("/api/2.2/jobs/delete", job_id=job_id)
    assert "jobs.load: created" in deployed(direct, "qa")
    assert direct.names() == ["load qa"]


def test_what_is_no_longer_in_the_bundle_goes(direct: Any) -> None:
    deployed(direct, "qa", sources={**SOURCES, "src/old.py": b""})
    renamed = {
        "databricks.yml": MAIN.replace("        load:", "        fetch:"),
        "resources/load.yml": JOB.replace("    load:\n", "    fetch:\n", 1),
    }
    said = deployed(direct, "qa", renamed)
    assert said == [
        "files: 0 uploaded, 1 removed, 2 as they were",
        "jobs.fetch: created",
        "jobs.load: deleted",
    ]
    assert deploying.summary(direct, resolved("qa")) == [
        ("jobs.load", "load qa", "not deployed"),
        ("jobs.fetch", "", "no longer in the bundle"),
    ]


def test_a_refusal_names_the_resource_and_the_state_keeps_what_is_there(direct: Any) -> None:
    bad = changed("timezone_id: UTC", "timezone_id: Mars/Base", "resources/load.yml")
    with pytest.raises(
        rest.Refused, match=r"resources/load.yml, line 3: the workspace refuses jobs.load: .*Mars"
    ):
        deployed(direct, "qa", bad)
    assert deploying.state_of(direct, resolved("qa")).files
    assert direct.names() == []
    deployed(direct, "qa")
    assert direct.names() == ["load qa"]


def test_destroy_takes_all_of_one_target_away(direct: Any) -> None:
    deployed(direct, "qa")
    deployed(direct, "prod")
    deploying.destroy(direct, resolved("qa"), lambda said: None)
    assert direct.names() == ["load prod"]
    with pytest.raises(rest.Refused):
        direct.get("/api/2.0/workspace/get-status", path=resolved("qa").root_path)
    assert deploying.summary(direct, resolved("qa")) == [("jobs.load", "load qa", "not deployed")]


def test_a_run_needs_a_job_that_is_there(direct: Any) -> None:
    with pytest.raises(BundleError, match="has no job 'lode'; it has load"):
        deploying.run(direct, resolved("qa"), "lode", print)
    with pytest.raises(BundleError, match="not deployed to qa"):
        deploying.run(direct, resolved("qa"), "load", print)


def test_a_state_that_somebody_changed_is_told(direct: Any) -> None:
    deployed(direct, "qa")
    at = resolved("qa").state_path
    direct.post(
        "/api/2.0/workspace/import",
        path=f"{at}/deployment.json",
        content="e30=",
        format="AUTO",
        overwrite=True,
    )
    with pytest.raises(BundleError, match="is no state of a deployment"):
        deployed(direct, "qa")


def test_permissions_go_with_a_job(direct: Any) -> None:
    files = {
        **FILES,
        "resources/load.yml": JOB + "      permissions: [{level: CAN_VIEW, group_name: users}]\n",
    }
    deployed(direct, "qa", files)
    job_id = deploying.state_of(direct, resolved("qa")).resources["jobs.load"]
    told = direct.get(f"/api/2.0/permissions/jobs/{job_id}")["access_control_list"]
    assert [each for each in told if each.get("group_name") == "users"]


def test_what_is_hidden_or_made_by_programs_is_not_deployed(tmp_path: Path) -> None:
    for path in (
        "databricks.yml",
        ".git/config",
        "src/load.py",
        "src/__pycache__/load.pyc",
        ".env",
        "infra/terraform.tfstate",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("bundle: {name: x}")
    assert set(deploying.own_files(tmp_path)) == {"databricks.yml", "src/load.py"}
    assert set(files_of(tmp_path)) == {"databricks.yml"}
    (tmp_path / "big.bin").write_bytes(b"0" * 500_000)
    with pytest.raises(BundleError, match=r"big.bin has more than"):
        deploying.own_files(tmp_path)


def test_plain_values_are_what_yaml_of_today_has() -> None:
    assert tree.read("a: on\nb: 1\nc: 1.5\nd: 'x'\ne: ~\nf: true\ng: 007", "x").plain() == {
        "a": "on", "b": 1, "c": 1.5, "d": "x", "e": None, "f": True, "g": "007",
    }  # fmt: skip
