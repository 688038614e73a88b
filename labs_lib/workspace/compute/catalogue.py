"""What the workspace offers: node types with their DBU rates, runtime versions. The data is in `catalogue.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

_DATA = tomllib.loads((Path(__file__).parent / "catalogue.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class NodeType:
    """A machine: memory in MiB, `dbus` an hour without Photon, GB of each local disk."""

    node_type_id: str
    cores: int
    memory_mb: int
    dbus: Decimal
    category: str
    disks: int
    disk_gb: int
    gpus: int

    def as_listed(self) -> dict[str, Any]:
        """As `clusters/list-node-types` shows it; the SDK sorts by most of these fields, so all of them are there."""
        name, disks = (
            self.node_type_id,
            {"local_nvme_disks": self.disks, "local_nvme_disk_size_gb": self.disk_gb},
        )
        return {
            **dict.fromkeys(("node_type_id", "instance_type_id", "description"), name),
            "category": self.category,
            "num_cores": float(self.cores),
            "memory_mb": self.memory_mb,
            "num_gpus": self.gpus,
            **dict.fromkeys(("is_deprecated", "is_hidden", "is_graviton"), False),
            "is_io_cache_enabled": self.disks > 0,
            **dict.fromkeys(("photon_driver_capable", "photon_worker_capable"), not self.gpus),
            "support_ebs_volumes": not self.disks,
            **dict.fromkeys(("support_cluster_tags", "support_port_forwarding"), True),
            "node_instance_type": {
                "instance_type_id": name,
                "local_disks": 0,
                "local_disk_size_gb": 0,
                **disks,
            },
        }


NODE_TYPES: Mapping[str, NodeType] = MappingProxyType(
    {
        name: NodeType(name, cores, memory, Decimal(dbus), *rest)
        for name, (cores, memory, dbus, *rest) in _DATA["nodes"].items()
    }
)
PHOTON = Decimal(_DATA["photon"])
SPARK_VERSIONS: Mapping[str, str] = MappingProxyType(_DATA["versions"])
AUTOMATIC_VERSIONS: Mapping[str, str] = MappingProxyType(_DATA["automatic_versions"])
