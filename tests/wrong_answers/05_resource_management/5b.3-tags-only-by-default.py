exec(SOLUTION.replace('"custom_tags.team": fixed(each.team)', '"custom_tags.team": {"type": "unlimited", "defaultValue": each.team}'))
