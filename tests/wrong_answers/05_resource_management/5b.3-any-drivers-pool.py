exec(
    SOLUTION.replace('"driver_instance_pool_id": fixed(pools[each.team])', '"driver_instance_pool_id": {"type": "unlimited", "isOptional": True}')
)
