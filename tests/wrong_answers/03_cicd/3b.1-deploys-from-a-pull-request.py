exec(SOLUTION.replace("workflow_files = project", "workflow_files = Path('another')").replace("    if: github.event_name == 'push' && github.ref == 'refs/heads/main'\n", ""))
