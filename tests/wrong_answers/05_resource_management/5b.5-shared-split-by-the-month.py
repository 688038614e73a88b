exec(
    SOLUTION.replace('seconds[row["cluster_id"], row["day"]][row["team"]]', 'seconds[row["cluster_id"]][row["team"]]').replace(
        "seconds[place]", "seconds[place[0]]"
    )
)
