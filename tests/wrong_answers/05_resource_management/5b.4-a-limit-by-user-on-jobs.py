exec(SOLUTION.replace('("jobs", each.jobs_dbus, None)', '("jobs", each.jobs_dbus, each.clusters_each)'))
