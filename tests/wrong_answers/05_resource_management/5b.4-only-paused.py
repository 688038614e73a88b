exec(SOLUTION.replace('actions += [{"do": "cancel", "run_id": run["run_id"]} for run in stop]', "stop = []"))
