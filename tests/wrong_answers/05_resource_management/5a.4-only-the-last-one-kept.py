class CachePolicy:
    def __init__(self, budget, blocks, history):
        self.blocks, self.budget = blocks, budget

    def look(self, event, cached):
        if "write" in event:
            return {"drop": [name for name in cached if event["write"] in self.blocks[name]["tables"]]}
        name = event["query"]
        if name in cached or self.blocks[name]["bytes"] > self.budget:
            return {}
        return {"drop": cached, "cache": [name]}


till_week = {
    "queries": 9,
    "hits": 5,
    "stale": 0,
    "files_without": 46,
    "files_read": 40,
    "budget": 90,
    "bytes": 80,
}
