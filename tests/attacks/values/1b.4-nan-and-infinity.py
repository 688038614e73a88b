# Numbers that JSON does not have.
policy = {"limit": float("inf"), "bands": [float("nan")]}
