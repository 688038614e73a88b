exec(SOLUTION.replace("workflow_files = project", "workflow_files = Path('another')").replace("${{ github.event_name == 'pull_request' }}", "true"))
