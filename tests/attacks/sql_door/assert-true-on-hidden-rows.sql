SELECT id FROM emp WHERE assert_true(region IN ('asia', 'europe'), region) IS NULL
