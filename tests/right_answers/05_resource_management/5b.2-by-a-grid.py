lay(lab, "5b.2")
history = starts(lab.seed, "history")
tried = grid(history, [9, 10, 11, 12, 13], [5, 10, 15], preloaded_spark_versions=[RUNTIME])
within = tried[(tried.ready >= BOUNDS.ready_share + 0.025) & (tried.idle_share <= BOUNDS.idle_share - 0.03)]
best = within.sort_values("idle_share").iloc[0]
made = lab.workspace.instance_pools.create(
    instance_pool_name="starts",
    node_type_id="m5.xlarge",
    min_idle_instances=int(best.min_idle),
    idle_instance_autotermination_minutes=int(best.idle_minutes),
    max_capacity=BOUNDS.machines,
    preloaded_spark_versions=[RUNTIME],
    custom_tags={"team": "platform"},
)
pool_state = exported(lab)
