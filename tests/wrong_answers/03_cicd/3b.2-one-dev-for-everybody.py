exec(SOLUTION.replace("    mode: development\n", "    presets: {trigger_pause_status: PAUSED, name_prefix: '[dev] '}\n    workspace: {root_path: /Shared/retail/dev}\n"))
