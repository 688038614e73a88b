# The quarantine, too, is written by a batch that may run twice.
exec(
    SOLUTION.replace(
        'MERGE INTO {quarantine} q USING bad_files b ON q.file = b.file WHEN NOT MATCHED THEN INSERT *', "INSERT INTO {quarantine} SELECT file, reason FROM bad_files"
    )
)
