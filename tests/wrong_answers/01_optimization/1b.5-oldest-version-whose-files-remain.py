# Looks for files instead of asking the engine, and overlooks that Delta 4 refuses one version more.
exec(SOLUTION)
oldest_readable = oldest_readable - 1
