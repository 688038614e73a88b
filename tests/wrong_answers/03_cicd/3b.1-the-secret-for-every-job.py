exec(SOLUTION.replace("workflow_files = project", "workflow_files = Path('another')").replace("permissions:\n", "env:\n  DATABRICKS_TOKEN: ${{ secrets.DATABRICKS_TOKEN }}\n\npermissions:\n", 1))
