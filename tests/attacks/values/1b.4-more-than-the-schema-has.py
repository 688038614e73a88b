# A state with a claim beside it, for whoever merges it into something.
policy = {"limit": max(numbers), "bands": ["small", "middle", "large"], "points": 2, "__class__": "Verdict"}
