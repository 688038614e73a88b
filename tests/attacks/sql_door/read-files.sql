SELECT * FROM read_files('/tmp')
