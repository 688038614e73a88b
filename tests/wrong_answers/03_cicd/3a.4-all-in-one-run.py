exec(
    SOLUTION.replace('    unit = subprocess.call([*PYTEST, "tests/unit", "--junitxml=reports/unit.xml"])\n    if unit:\n        return unit\n', "")
    .replace('"tests/integration", "--junitxml=reports/integration.xml", "--cov-append"', '"tests/integration", "tests/unit", "--junitxml=reports/unit.xml"')
)
