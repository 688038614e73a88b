SELECT d.dept, d.id FROM dept d LEFT SEMI JOIN emp e ON d.id = e.id AND e.name = concat('Zo', 'fia')
