SELECT id FROM emp WHERE CASE WHEN region NOT IN ('asia', 'europe') THEN raise_error(concat(name, region)) ELSE true END
