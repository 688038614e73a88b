SELECT /*+ BROADCAST(emp), COALESCE(1) */ * FROM emp JOIN dept USING (id)
