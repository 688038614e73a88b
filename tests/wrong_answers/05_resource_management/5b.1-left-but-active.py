exec(SOLUTION.replace("w.users.update(left.id", "dict(id=left.id").replace("user_name=left.user_name, active=False", "active=False"))
