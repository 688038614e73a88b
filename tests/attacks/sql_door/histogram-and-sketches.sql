SELECT histogram_numeric(salary, 5), approx_percentile(salary, 0.5), mode(born), percentile(salary, 0.9) FROM emp
