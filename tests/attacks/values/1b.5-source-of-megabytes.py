# A definition in a cell of more text than one may have.
long = "x" * 10
exec("def ranked(values):\n    return sorted(set(values), reverse=True)\n")
In[-1] = In[-1] + "#" * 300_000 + "\nranked = 0"
