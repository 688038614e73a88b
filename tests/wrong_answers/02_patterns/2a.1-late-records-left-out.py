# What took effect before the current version is passed over.
exec(
    SOLUTION.replace(
        "FROM household_changes WHERE batch = {number}",
        "FROM household_changes WHERE batch = {number} AND NOT EXISTS (SELECT 1 FROM household_history h"
        " WHERE h.household_id = household_changes.household_id AND h.is_current AND h.valid_from > household_changes.effective_at)",
    )
)
