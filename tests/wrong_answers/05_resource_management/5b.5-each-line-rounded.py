exec(
    SOLUTION.replace("cost.quantize(Decimal(\"0.01\"), ROUND_DOWN)", "round(cost, 2) + Decimal(\"0.01\")")
    .replace("missing = int(", "missing = 0 * int(")
    .replace('"total": str(sum(cents.values()))', '"total": str(round(total, 2))')
)
