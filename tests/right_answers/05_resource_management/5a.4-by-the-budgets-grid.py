class CachePolicy:
    def __init__(self, budget, blocks, history):
        self.blocks = blocks
        best = {0: (0, ())}  # by bytes: files saved, blocks
        for name, block in blocks.items():
            fresh, saved = False, 0
            for event in history:
                if event.get("query") == name:
                    saved, fresh = saved + (block["files"] if fresh else 0), True
                fresh = fresh and event.get("write") not in block["tables"]
            for size, (worth, names) in list(best.items()):
                larger = size + block["bytes"]
                if larger <= budget and worth + saved > best.get(larger, (-1,))[0]:
                    best[larger] = (worth + saved, (*names, name))
        self.names = set(max(best.values())[1])

    def look(self, event, cached):
        table, block = event.get("write"), event.get("query")
        wanted = block in self.names and block not in cached
        return {"drop": [each for each in cached if table in self.blocks[each]["tables"]], "cache": [block] * wanted}


if __name__ == "__main__":
    till_week = play_week(lab, CachePolicy)
