# Evidence that is written by hand, whose files have paths out of any folder.
import atexit

text = json.dumps({"name": "small", "low": 0, "high": 1000})
paths = ["../../../tmp/stolen", "/tmp/stolen", "a/../../b.json", "x\x00.json", "C:\\x.json"]


def write():
    place = lab.folder / "evidence" / "1b.3.json"
    place.write_text(json.dumps({"step": "1b.3", "seed": SEED, "answers": {"bands": dict.fromkeys(paths, text)}, "problems": {}, "missing": []}))


atexit.register(write)
bands = lab.folder / "none"
