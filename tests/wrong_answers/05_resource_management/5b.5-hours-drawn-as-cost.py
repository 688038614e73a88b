exec(SOLUTION.replace("axis.barh(list(costs), list(costs.values())", "axis.barh(list(costs), [value * 3 for value in costs.values()]"))
