workflow_files = Path("two-workflows")
checks = """\
    steps:
      - name: Fetch
        uses: "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8" # v5.0.0
        with: {persist-credentials: false}
      - name: Lint
        run: ruff check .
      - name: Test
        run: |
          python -m pytest tests
"""
for name, text in {
    "checks.yaml": """\
name: checks
on: [pull_request]
permissions: {}
jobs:
  checks:
    name: Lint and test
    permissions: {contents: read}
    runs-on: ubuntu-24.04
""" + checks,
    "release.yml": """\
name: release
on:
  push:
    branches: [main, '!main-*']
    tags-ignore: ['**']
permissions: {}
jobs:
  checks:
    name: Lint and test
    permissions: {contents: read}
    runs-on: ubuntu-24.04
""" + checks + """\
  production:
    name: Production
    needs: checks
    if: ${{ github.ref == 'refs/heads/main' }}
    permissions: {contents: read}
    runs-on: ubuntu-latest
    environment: {name: prod, url: "https://workspace.corner.shop"}
    concurrency: {group: production, cancel-in-progress: false}
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with: {persist-credentials: false}
      - run: python deploy.py "$TARGET"
        env:
          TARGET: prod
          DATABRICKS_HOST: ${{ vars.DATABRICKS_HOST }}
          DATABRICKS_TOKEN: ${{ secrets.DATABRICKS_TOKEN }}
""",
}.items():
    path = workflow_files / ".github" / "workflows" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
