DROP FUNCTION hr.rules.mask_salary
-- then
SELECT salary FROM emp
