exec(SOLUTION.replace("return {**rules, **{path: FORBIDDEN for path in EVERYTHING if path not in named}}", "return rules"))
