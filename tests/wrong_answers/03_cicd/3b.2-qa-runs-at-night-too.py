exec(SOLUTION.replace("    presets:\n      trigger_pause_status: PAUSED\n", ""))
