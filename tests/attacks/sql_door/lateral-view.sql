SELECT x FROM emp LATERAL VIEW explode(array(CAST(salary AS STRING), CAST(born AS STRING), name)) t AS x
