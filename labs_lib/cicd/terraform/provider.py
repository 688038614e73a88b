"""The provider: the process that Terraform starts, two or three times a command, so that it imports little.

It speaks version 6 of the plugin protocol over gRPC, on a socket of its own that only this user can open.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from labs_lib.cicd.rest import Refused, Workspace
from labs_lib.cicd.terraform.attributes import UNKNOWN, Attribute, Block, decoded, encoded
from labs_lib.cicd.terraform.messages import MESSAGES, PACKAGE
from labs_lib.cicd.terraform.resources import RESOURCES

COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
PROVIDER = Block({"host": Attribute(), "token": Attribute(sensitive=True)})
ERROR = 1
BEAT = 1.0  # seconds between two looks at whether Terraform is still there
Answer = Callable[[Any], Any]


class Provider:
    """What Terraform asks, one method a request. A refusal of the workspace's becomes a diagnostic."""

    def __init__(self) -> None:
        self._workspace: Workspace | None = None
        self.ended = threading.Event()

    def schema(self, _: Any) -> Any:
        """What there is to be declared."""
        entries = [
            MESSAGES["SchemaEntry"](key=name, value=MESSAGES["Schema"](block=each.block.message()))
            for name, each in sorted(RESOURCES.items())
        ]
        own = MESSAGES["Schema"](block=PROVIDER.message())
        return MESSAGES["GetProviderSchema.Response"](provider=own, resource_schemas=entries)

    def configure(self, asked: Any) -> Any:
        """Take address and token from the configuration, or else from the environment."""
        told = decoded(asked.config) or {}
        host = told.get("host") or os.environ.get("DATABRICKS_HOST")
        token = told.get("token") or os.environ.get("DATABRICKS_TOKEN")
        if not host or not token or UNKNOWN in (host, token):
            return MESSAGES["Told.Response"](
                diagnostics=[
                    _diagnostic(
                        "The provider needs a host and a token", "Set DATABRICKS_HOST and DATABRICKS_TOKEN."
                    )
                ]
            )
        self._workspace = Workspace(host, token)
        return MESSAGES["Told.Response"]()

    def upgrade(self, asked: Any) -> Any:
        """A state as it lies in the file; one of another version of this provider has null for what it lacks."""
        resource = RESOURCES[asked.type_name]
        return MESSAGES["UpgradeResourceState.Response"](
            upgraded_state=encoded(resource.block.whole(json.loads(asked.raw_state.json)))
        )

    def read(self, asked: Any) -> Any:
        """What the workspace has of a resource today: this is how drift is seen."""
        resource, state = RESOURCES[asked.type_name], decoded(asked.current_state)
        there = resource.read(self._w, state["id"], resource.block.said(state))
        new = None if there is None else resource.block.whole(resource.block.as_found(there, state))
        return MESSAGES["ReadResource.Response"](new_state=encoded(new), private=asked.private)

    def plan(self, asked: Any) -> Any:
        """What a resource will be: what is computed is unknown until it is made, and stays when it is changed."""
        resource, before, wanted = (
            RESOURCES[asked.type_name],
            decoded(asked.prior_state),
            decoded(asked.proposed_new_state),
        )
        response = MESSAGES["PlanResourceChange.Response"]
        if wanted is None:
            return response(planned_state=encoded(None))
        attributes = resource.block.attributes
        computed = [name for name, each in attributes.items() if each.computed]
        if before is None:
            return response(planned_state=encoded(wanted | dict.fromkeys(computed, UNKNOWN)))
        replaced = [
            name for name, each in attributes.items() if each.replaces and wanted[name] != before[name]
        ]
        if replaced:
            wanted |= dict.fromkeys(computed, UNKNOWN)
        paths = [
            MESSAGES["AttributePath"](steps=[MESSAGES["Step"](attribute_name=name)]) for name in replaced
        ]
        return response(planned_state=encoded(wanted), requires_replace=paths)

    def apply(self, asked: Any) -> Any:
        """Make, change or take away."""
        resource, before, wanted = (
            RESOURCES[asked.type_name],
            decoded(asked.prior_state),
            decoded(asked.planned_state),
        )
        if wanted is None:
            try:
                resource.delete(self._w, before["id"], before)
            except Refused as error:
                if not error.is_gone:
                    raise
            return MESSAGES["ApplyResourceChange.Response"](new_state=encoded(None))
        if before is None:
            known = {name: value for name, value in wanted.items() if value is not UNKNOWN}
            wanted |= resource.create(self._w, known)
        else:
            resource.update(self._w, before["id"], wanted, before)
        return MESSAGES["ApplyResourceChange.Response"](new_state=encoded(resource.block.whole(wanted)))

    def bring_in(self, asked: Any) -> Any:
        """`terraform import`: what is there already, known by its id."""
        resource = RESOURCES[asked.type_name]
        there = resource.read(self._w, asked.id, {})
        if there is None:
            raise Refused(f"There is no {asked.type_name} with the id {asked.id!r}.")
        state = resource.block.whole({**resource.block.as_found(there, {}), "id": asked.id})
        imported = MESSAGES["ImportedResource"](type_name=asked.type_name, state=encoded(state))
        return MESSAGES["ImportResourceState.Response"](imported_resources=[imported])

    def end(self, _: Any) -> Any:
        """Terraform needs the process no more."""
        self.ended.set()
        return MESSAGES["Empty"]()

    @property
    def _w(self) -> Workspace:
        if self._workspace is None:
            raise Refused("The provider has no configuration yet.")
        return self._workspace


def _diagnostic(summary: str, detail: str = "") -> Any:
    return MESSAGES["Diagnostic"](severity=ERROR, summary=summary, detail=detail)


def _nothing(name: str) -> Answer:
    return lambda asked: MESSAGES[name]()


def methods(provider: Provider) -> dict[str, tuple[Answer, str, str]]:
    """Requests by the protocol's name: who answers, and the names of both messages."""
    return {
        "GetProviderSchema": (provider.schema, "Empty", "GetProviderSchema.Response"),
        "ValidateProviderConfig": (_nothing("ValidateProviderConfig.Response"), "Configured.Request", "ValidateProviderConfig.Response"),
        "ConfigureProvider": (provider.configure, "ConfigureProvider.Request", "Told.Response"),
        "ValidateResourceConfig": (_nothing("Told.Response"), "ValidateResourceConfig.Request", "Told.Response"),
        "UpgradeResourceState": (provider.upgrade, "UpgradeResourceState.Request", "UpgradeResourceState.Response"),
        "ReadResource": (provider.read, "ReadResource.Request", "ReadResource.Response"),
        "PlanResourceChange": (provider.plan, "PlanResourceChange.Request", "PlanResourceChange.Response"),
        "ApplyResourceChange": (provider.apply, "ApplyResourceChange.Request", "ApplyResourceChange.Response"),
        "ImportResourceState": (provider.bring_in, "ImportResourceState.Request", "ImportResourceState.Response"),
        "StopProvider": (_nothing("Empty"), "Empty", "Empty"),
    }  # fmt: skip


def _answering(answer: Answer, response: str) -> Callable[[Any, Any], Any]:
    def handled(asked: Any, _: Any) -> Any:
        try:
            return answer(asked)
        except Refused as error:
            told = MESSAGES[response](diagnostics=[_diagnostic(str(error))])
            if response == "ApplyResourceChange.Response":  # what was there before is still there
                told.new_state.CopyFrom(asked.prior_state)
            return told

    return handled


def serve() -> None:
    """Be the provider until Terraform says that it is over."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit("This is a provider: Terraform starts it. Run `labs terraform`.")
    provider = Provider()
    server = grpc.server(ThreadPoolExecutor(10))

    def handler(answer: Answer, asked: str, told: str) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            _answering(answer, told), MESSAGES[asked].FromString, lambda message: message.SerializeToString()
        )

    own = {name: handler(*each) for name, each in methods(provider).items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"{PACKAGE}.Provider", own)])
    shutdown = {"Shutdown": handler(provider.end, "Empty", "Empty")}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("plugin.GRPCController", shutdown)])
    with tempfile.TemporaryDirectory(prefix="labs-tf-") as folder:  # of mode 700
        if os.name == "posix":
            network, address = "unix", f"{folder}/provider"
            server.add_insecure_port(f"unix:{address}")
        else:
            network, address = "tcp", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        sys.stdout.write(f"1|6|{network}|{address}|grpc|\n")
        sys.stdout.flush()
        parent = os.getppid()
        while not provider.ended.wait(BEAT) and os.getppid() == parent:
            pass  # a Terraform that was killed says no good-bye
        server.stop(0.1).wait(1)


if __name__ == "__main__":
    serve()
