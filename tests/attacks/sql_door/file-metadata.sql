SELECT _metadata.file_path, * FROM emp
