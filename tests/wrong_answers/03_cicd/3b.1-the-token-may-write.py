exec(SOLUTION.replace("workflow_files = project", "workflow_files = Path('another')").replace("  contents: read", "  contents: write"))
