exec("\n".join(line for line in SOLUTION.splitlines() if "dbus_per_hour" not in line))
