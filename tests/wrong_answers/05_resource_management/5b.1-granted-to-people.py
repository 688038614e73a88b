exec(
    SOLUTION.replace(
        "for group, level in levels.items()]",
        "for group, level in levels.items() if group == 'platform'] + [AccessControlRequest(user_name=each, "
        "permission_level=PermissionLevel(level)) for group, level in levels.items() for each in people.teams.get(group, ())]",
    )
)
