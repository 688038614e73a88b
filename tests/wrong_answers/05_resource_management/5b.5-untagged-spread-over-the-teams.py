exec(
    SOLUTION.replace(
        "    total = sum(lines.values())\n",
        '    total = sum(lines.values())\n    nobodys = lines.pop("untagged", Decimal(0))\n    teams = [name for name in lines if name != "platform"]\n'
        "    for name in teams:\n        lines[name] += nobodys / len(teams)\n",
    )
)
