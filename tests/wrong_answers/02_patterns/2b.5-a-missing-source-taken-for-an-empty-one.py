# Nothing there, nothing to do: nobody hears that the source is gone.
import os

exec(SOLUTION.replace("    spark.sql(\n        f\"\"\"CREATE", "    if not os.path.isdir(source):\n        return\n    spark.sql(\n        f\"\"\"CREATE"))
