exec(SOLUTION)
everyone = ["learner@example.com", *people.platform]
w.groups.update(admins.id, display_name="admins", members=[ComplexValue(value=users[person].id) for person in everyone])
teams_state = exported(lab)
