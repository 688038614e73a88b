CREATE OR REPLACE FUNCTION hr.rules.mask_salary(salary INT) RETURNS INT RETURN salary
-- then
SELECT salary FROM emp
