class CachePolicy:
    def __init__(self, budget, blocks, history):
        often = {name: sum(event.get("query") == name for event in history) for name in blocks}
        self.chosen, left = [], budget
        for name in sorted(blocks, key=lambda name: often[name] / blocks[name]["bytes"], reverse=True):
            if blocks[name]["bytes"] <= left:
                self.chosen.append(name)
                left -= blocks[name]["bytes"]
        self.hour = 0

    def look(self, event, cached):
        if event["hour"] - self.hour > 1:
            self.hour = event["hour"]
            return {"cache": self.chosen}
        return {}


till_week = {
    "queries": 9,
    "hits": 5,
    "stale": 0,
    "files_without": 46,
    "files_read": 40,
    "budget": 90,
    "bytes": 80,
}
