SELECT raise_error(CAST(salary AS STRING)) FROM emp
