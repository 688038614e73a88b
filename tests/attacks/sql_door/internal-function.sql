SELECT system.builtin.input_file_name(), builtin.raise_error(name) FROM emp
