SELECT IDENTIFIER('input_file' || '_name')() FROM emp
