SELECT reflect('java.lang.System', 'getProperty', 'user.dir'), name FROM emp
