exec(SOLUTION.replace("    mode: production\n    workspace:\n      root_path: /Shared/${bundle.name}/${bundle.target}\n", ""))
