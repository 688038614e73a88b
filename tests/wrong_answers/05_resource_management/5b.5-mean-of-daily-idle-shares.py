exec(
    SOLUTION.replace('machine[team] += row["machine_minutes"]', "machine[team] += 1").replace(
        'busy[team] += row["busy_minutes"]', 'busy[team] += row["busy_minutes"] / row["machine_minutes"]'
    )
)
