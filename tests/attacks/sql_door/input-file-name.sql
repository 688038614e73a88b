SELECT input_file_name(), name FROM emp
