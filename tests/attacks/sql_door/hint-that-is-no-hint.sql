SELECT /*+ */ * FROM /*+ BROADCAST(dept) */ emp
