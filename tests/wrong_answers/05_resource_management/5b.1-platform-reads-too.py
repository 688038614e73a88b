exec(SOLUTION.replace("add=[Privilege.MANAGE]", "add=[Privilege.ALL_PRIVILEGES]"))
