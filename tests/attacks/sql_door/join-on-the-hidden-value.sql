SELECT e.name, v.s FROM emp e JOIN (VALUES (777000 + 123)) v(s) ON e.salary = v.s
