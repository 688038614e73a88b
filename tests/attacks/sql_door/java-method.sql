SELECT java_method('java.nio.file.Files', 'readString', 'x'), salary FROM emp
