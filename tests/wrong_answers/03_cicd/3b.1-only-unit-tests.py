exec(SOLUTION.replace("workflow_files = project", "workflow_files = Path('another')").replace("pytest tests", "pytest tests/unit"))
