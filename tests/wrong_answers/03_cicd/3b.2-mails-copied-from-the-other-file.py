alerts = {line.split()[1] for line in (project / "environments.yml").read_text().splitlines() if "alerts:" in line}
exec(SOLUTION.replace('    default: ""\n', f"    default: {min(alerts)}\n"))
