exec(SOLUTION.replace("group_name=each.team", 'group_name="users"'))
