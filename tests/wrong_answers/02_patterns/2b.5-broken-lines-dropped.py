# A file whose compression is broken goes to the quarantine; of the one that broke off in a line, the lines before it are loaded.
exec(SOLUTION.replace('option("mode", "FAILFAST")', 'option("mode", "DROPMALFORMED")').replace("session.read.json(good)", 'session.read.option("mode", "DROPMALFORMED").json(good)'))
