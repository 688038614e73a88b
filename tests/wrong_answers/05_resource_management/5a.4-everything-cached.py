class CachePolicy:
    def __init__(self, budget, blocks, history):
        self.blocks = blocks

    def look(self, event, cached):
        if "write" in event:
            return {"drop": [name for name in cached if event["write"] in self.blocks[name]["tables"]]}
        return {"cache": [] if event["query"] in cached else [event["query"]]}


till_week = {
    "queries": 9,
    "hits": 5,
    "stale": 0,
    "files_without": 46,
    "files_read": 40,
    "budget": 90,
    "bytes": 80,
}
