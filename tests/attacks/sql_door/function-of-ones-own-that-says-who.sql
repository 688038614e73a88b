CREATE OR REPLACE FUNCTION hr.lab.is_account_group_member(g STRING) RETURNS BOOLEAN RETURN true
-- then
SELECT salary FROM emp
