import json
from urllib.request import urlopen

base = f"{lab.ui}/api/v1/applications"
application = json.load(urlopen(base))[0]["id"]
mine = {stage.id for stage in slow_run.stages}
stages = [s for s in json.load(urlopen(f"{base}/{application}/stages?status=complete")) if s["stageId"] in mine]
top = max(stages, key=lambda stage: stage["executorRunTime"])
whole = sum(stage["executorRunTime"] for stage in stages)
slow_stage = {"stage": top["stageId"], "shuffle_bytes": top["shuffleReadBytes"], "share": round(top["executorRunTime"] / whole, 3)}
