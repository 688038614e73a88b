# The form of the lesson: one record per household and batch, and each closes what is current. Late ones turn intervals around.
new_dimension()
for number in (1, 2, 3, 4):
    spark.sql(f"""
        CREATE OR REPLACE TEMP VIEW newest AS SELECT household_id, address, income, household_size, effective_at FROM (
            SELECT *, row_number() OVER (PARTITION BY household_id ORDER BY effective_at DESC) AS n FROM household_changes WHERE batch = {number}
        ) WHERE n = 1
    """)
    different = "NOT struct(t.address, t.income, t.household_size) <=> struct(u.address, u.income, u.household_size)"
    spark.sql(f"""
        MERGE INTO household_history t
        USING (
            SELECT household_id AS key, * FROM newest
            UNION ALL
            SELECT null, u.* FROM newest u JOIN household_history t ON u.household_id = t.household_id AND t.is_current AND {different}
        ) u
        ON t.household_id = u.key AND t.is_current
        WHEN MATCHED AND {different} THEN UPDATE SET valid_to = u.effective_at, is_current = false
        WHEN NOT MATCHED THEN INSERT (household_id, address, income, household_size, valid_from, is_current)
            VALUES (u.household_id, u.address, u.income, u.household_size, u.effective_at, true)
    """)
