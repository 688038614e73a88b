exec(SOLUTION.replace(', "preloaded_spark_versions": [RUNTIME]', ""))
