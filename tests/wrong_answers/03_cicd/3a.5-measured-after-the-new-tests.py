exec(SOLUTION)
subprocess.run(command, cwd=project, env=QUICK, capture_output=True)
measured = json.loads((project / "measured.json").read_text())["files"]
weak_spots = next(found for file, found in measured.items() if file.endswith("legacy.py"))["missing_branches"]
