# Files that are JSON and no rules: what they are compared with has no place for them.
bands = lab.folder / "odd"
bands.mkdir()
(bands / "a.json").write_text(json.dumps({"name": {"$ne": None}, "low": -1e308, "high": "z"}))
(bands / "b.json").write_text("[" * 900 + "]" * 900)
