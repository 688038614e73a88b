SELECT hr.rules.mask_salary(salary), hr.rules.mask_date(born) FROM emp
