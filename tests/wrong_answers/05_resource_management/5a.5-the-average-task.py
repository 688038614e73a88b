exec(
    SOLUTION.replace(
        '"largest_share", largest_share, ', '"largest_share", lambda run: 1 / len(task_bytes(run)), '
    )
)
