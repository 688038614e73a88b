# `<>` is null where either side is, so a detail that becomes known or unknown starts no version.
exec(
    SOLUTION.replace(
        "NOT details <=> details_before",
        "details_before IS NULL OR address <> details_before.address OR income <> details_before.income"
        " OR household_size <> details_before.household_size",
    )
)
