exec(SOLUTION.replace('    group_name       = databricks_group.team[each.key].display_name\n    permission_level = "CAN_USE"', '    group_name       = "users"\n    permission_level = "CAN_USE"'))
