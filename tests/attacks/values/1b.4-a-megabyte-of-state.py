# A state that is larger than one may be.
policy = {"limit": max(numbers), "bands": ["x" * 150_000] * 10}
