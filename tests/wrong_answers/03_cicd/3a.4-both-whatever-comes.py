exec(
    SOLUTION.replace("    if unit:\n        return unit\n    return subprocess.call(", "    return max(unit, subprocess.call(")
    .replace('"--cov-report=xml:reports/coverage.xml"]\n    )', '"--cov-report=xml:reports/coverage.xml"]\n    ))')
)
