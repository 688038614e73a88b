SELECT b.* FROM emp a JOIN emp b ON a.id = b.id
