SELECT '😀😀😀' AS a, * FROM emp
