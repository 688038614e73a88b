exec(SOLUTION)
# Each privilege where it belongs, groups in a group, the platform's rights on the schema as well.
data = w.groups.create(display_name="data", members=[ComplexValue(value=group.id) for group in w.groups.list() if group.display_name in people.teams])
for team in people.teams:
    below = [Privilege.USE_SCHEMA, Privilege.SELECT, Privilege.MODIFY, Privilege.CREATE_TABLE]
    w.grants.update("catalog", team, changes=[PermissionsChange(principal=team, remove=below)])
    w.grants.update("schema", f"{team}.sales", changes=[PermissionsChange(principal=team, add=below)])
teams_state = exported(lab)
