SELECT region, count(*) FROM emp GROUP BY ROLLUP (region)
