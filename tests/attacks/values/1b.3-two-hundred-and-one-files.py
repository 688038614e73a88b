# More files than an answer may have, each of them right for one number.
bands = lab.folder / "many"
bands.mkdir()
for number in range(201):
    (bands / f"{number}.json").write_text(json.dumps({"name": "small", "low": number, "high": number + 1}))
