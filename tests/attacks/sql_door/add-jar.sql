ADD JAR /tmp/x.jar
