SELECT * /* /* */ FROM dept */ FROM emp -- dept
