"""What the course costs against stock Spark, and against its own targets: ratios and counts from one run.

`python -m benchmarks` measures; every figure comes from clocks, /proc and Spark's REST interface of that run.
"""
