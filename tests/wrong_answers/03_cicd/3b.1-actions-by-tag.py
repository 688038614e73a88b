exec(SOLUTION.replace("workflow_files = project", "workflow_files = Path('another')").replace("@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "@v5"))
