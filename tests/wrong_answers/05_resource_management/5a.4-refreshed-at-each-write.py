class CachePolicy:
    def __init__(self, budget, blocks, history):
        self.blocks, self.chosen = blocks, []
        for name in sorted(blocks, key=lambda name: blocks[name]["bytes"] / blocks[name]["files"]):
            if sum(blocks[each]["bytes"] for each in [*self.chosen, name]) <= budget:
                self.chosen.append(name)

    def look(self, event, cached):
        if "write" in event:
            return {"cache": [name for name in cached if event["write"] in self.blocks[name]["tables"]]}
        name = event["query"]
        return {"cache": [name] if name in self.chosen and name not in cached else []}


till_week = {
    "queries": 9,
    "hits": 5,
    "stale": 0,
    "files_without": 46,
    "files_read": 40,
    "budget": 90,
    "bytes": 80,
}
