# The source text's own way: a watermark with complete mode, which ignores it. Every window stays in state, nothing is late.
exec(SOLUTION.replace('outputMode("append")', 'outputMode("complete")'))
