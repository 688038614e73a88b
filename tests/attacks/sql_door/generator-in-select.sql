SELECT stack(3, name, CAST(salary AS STRING), CAST(born AS STRING)) FROM emp
