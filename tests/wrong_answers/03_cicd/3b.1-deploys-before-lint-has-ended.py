exec(SOLUTION.replace("workflow_files = project", "workflow_files = Path('another')").replace("needs: [lint, test]", "needs: test"))
