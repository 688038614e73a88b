"""What three teams may have of clusters, in words, as a platform team gets it. The numbers come by seed."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.variation import generator
from labs_lib.resource_management.company import NODES, company

BIG_DRIVERS = "big drivers"  # a pool that everybody may use, of larger machines
CLOSED = "What isn't named here must not be set at all, except cluster_name and further custom_tags."


@dataclass(frozen=True)
class Allowance:
    """A team's: who it is, what kind of work it does, and its numbers."""

    team: str
    kind: str  # analysts, engineers, scientists
    cost_center: str
    most_workers: int
    idle_minutes: int
    usual_minutes: int
    nodes: tuple[str, ...]
    most_dbus: float

    @property
    def words(self) -> str:
        """The requirements as a list in Markdown."""
        tags = f"Tagged `team={self.team}` and `cost_center={self.cost_center}`, said or not; other values are refused."
        lines = {
            "analysts": [
                "Interactive (all-purpose) clusters only, no job clusters.",
                f"They scale by themselves: at least 1 worker, at most {self.most_workers}. No fixed size.",
                f"Machines `{self.nodes[0]}` or `{self.nodes[1]}` for driver and workers, `{self.nodes[0]}` where nobody says; no pools.",
                f"They stop after 10 to {self.idle_minutes} idle minutes, {self.usual_minutes} where nobody says. None runs for ever.",
                "A runtime for Spark 4.0 or 3.5 with long support: `17.3.x-scala2.13` or `16.4.x-scala2.12`.",
                "`data_security_mode` is `USER_ISOLATION`, said or not.",
                "No Photon (`runtime_engine` is `STANDARD`, said or not).",
                tags,
            ],
            "engineers": [
                "Job clusters only, no interactive ones.",
                f"A fixed size of 1 to {self.most_workers} workers. No autoscaling.",
                f"Driver and workers from the pool `{self.team}`, said or not; from no other.",
                f"At most {self.most_dbus:g} DBU an hour, driver and workers together. Photon is allowed as far as that goes.",
                "The runtime `17.3.x-scala2.13`.",
                "`data_security_mode` is `SINGLE_USER`, said or not.",
                "Any `spark_conf`.",
                tags,
            ],
            "scientists": [
                "Interactive clusters of a single machine (`is_single_node`, said or not; `num_workers` is 0 if it is said), without pools.",
                f"The machine is `{self.nodes[0]}` or `{self.nodes[1]}`, `{self.nodes[0]}` where nobody says; a `driver_node_type_id`, if one is said, is one of these too.",
                f"It stops after 10 to {self.idle_minutes} idle minutes, {self.usual_minutes} where nobody says. None runs for ever.",
                "A machine learning runtime: `17.3.x-cpu-ml-scala2.13` or `16.4.x-cpu-ml-scala2.12`.",
                "`data_security_mode` is `SINGLE_USER`, said or not; any `single_user_name`.",
                "Any `spark_env_vars`. No Photon (`runtime_engine` is `STANDARD`, said or not).",
                tags,
            ],
        }[self.kind]
        return "\n".join(f"* {line}" for line in [*lines, CLOSED])


def allowances(seed: int) -> tuple[Allowance, ...]:
    """The requirements of a seed, a team each, in the company's order."""
    draw = generator(seed, "allowances")
    found = []
    kinds = [str(kind) for kind in draw.permutation(["analysts", "engineers", "scientists"])]
    for number, (team, kind) in enumerate(zip(company(seed).teams, kinds, strict=True)):
        workers, idle = int(draw.integers(4, 11)), int(draw.choice([40, 60, 90, 120]))
        general = ["m5.xlarge", "r5.xlarge", "c5.xlarge", "m5.2xlarge"]
        nodes = (
            [str(node) for node in draw.permutation(general)[:2]]
            if kind == "analysts"
            else ["g4dn.xlarge", "i3.2xlarge"]
        )
        rate = {"m5.xlarge": 0.69, "m5.2xlarge": 1.37, "r5.xlarge": 0.90}[NODES[number]]
        most = round(rate * (workers + 1) * float(draw.choice([0.6, 0.75, 1.5])), 1)
        center = f"cc-{int(draw.integers(100, 1000))}"
        found.append(
            Allowance(team, kind, center, workers, idle, int(draw.choice([15, 20, 30])), tuple(nodes), most)
        )
    return tuple(found)
