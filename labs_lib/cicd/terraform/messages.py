"""The messages of Terraform's plugin protocol, version 6, as far as a provider of managed resources needs them.

Source: the protocol as Terraform publishes it (docs/plugin-protocol, tfplugin6). A field that isn't here is skipped when it comes, which is
what protobuf does with fields that a program doesn't know.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "tfplugin6"
# A message a line: its fields as name=number:type, `*` for a repeated one; a message's fields are of the package's own, or string, bytes, int64, bool.
_SPEC = """
DynamicValue msgpack=1:bytes json=2:bytes
Step attribute_name=1:string
AttributePath *steps=1:Step
Diagnostic severity=1:int64 summary=2:string detail=3:string attribute=4:AttributePath
Attribute name=1:string type=2:bytes description=3:string required=4:bool optional=5:bool computed=6:bool sensitive=7:bool
NestedBlock type_name=1:string block=2:Block nesting=3:int64 min_items=4:int64 max_items=5:int64
Block version=1:int64 *attributes=2:Attribute *block_types=3:NestedBlock description=4:string
Schema version=1:int64 block=2:Block
SchemaEntry key=1:string value=2:Schema
ServerCapabilities plan_destroy=1:bool get_provider_schema_optional=2:bool
RawState json=1:bytes
ImportedResource type_name=1:string state=2:DynamicValue private=3:bytes
Empty
GetProviderSchema.Response provider=1:Schema *resource_schemas=2:SchemaEntry *diagnostics=4:Diagnostic server_capabilities=6:ServerCapabilities
Configured.Request config=1:DynamicValue
ConfigureProvider.Request terraform_version=1:string config=2:DynamicValue
Told.Response *diagnostics=1:Diagnostic
ValidateProviderConfig.Response *diagnostics=2:Diagnostic
ValidateResourceConfig.Request type_name=1:string config=2:DynamicValue
UpgradeResourceState.Request type_name=1:string version=2:int64 raw_state=3:RawState
UpgradeResourceState.Response upgraded_state=1:DynamicValue *diagnostics=2:Diagnostic
ReadResource.Request type_name=1:string current_state=2:DynamicValue private=3:bytes
ReadResource.Response new_state=1:DynamicValue *diagnostics=2:Diagnostic private=3:bytes
PlanResourceChange.Request type_name=1:string prior_state=2:DynamicValue proposed_new_state=3:DynamicValue config=4:DynamicValue prior_private=5:bytes
PlanResourceChange.Response planned_state=1:DynamicValue *requires_replace=2:AttributePath planned_private=3:bytes *diagnostics=4:Diagnostic
ApplyResourceChange.Request type_name=1:string prior_state=2:DynamicValue planned_state=3:DynamicValue config=4:DynamicValue planned_private=5:bytes
ApplyResourceChange.Response new_state=1:DynamicValue private=2:bytes *diagnostics=3:Diagnostic
ImportResourceState.Request type_name=1:string id=2:string
ImportResourceState.Response *imported_resources=1:ImportedResource *diagnostics=2:Diagnostic
"""
_TYPES = {"string": 9, "bytes": 12, "int64": 3, "bool": 8}


def _made() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="labs/tfplugin6.proto", package=PACKAGE, syntax="proto3")
    names = []
    for line in _SPEC.strip().splitlines():
        name, *fields = line.split()
        names.append(name)
        message = file.message_type.add(name=name.replace(".", "_"))
        for each in fields:
            label, _, kind = each.lstrip("*").partition(":")
            field = message.field.add(name=label.partition("=")[0], number=int(label.partition("=")[2]))
            field.label = 3 if each.startswith("*") else 1
            field.type = _TYPES.get(kind, 11)
            if kind not in _TYPES:
                field.type_name = f".{PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{PACKAGE}.{name.replace('.', '_')}") for name in names}
    return {name: message_factory.GetMessageClass(each) for name, each in found.items()}


MESSAGES = _made()
