# Leaves a FIFO where evidence should be: whoever opens it waits for ever.
import os
from pathlib import Path

folder = Path(os.environ["LABS_WORKSPACE"]) / "01_values" / "evidence"
(folder / "1a.4.json").unlink(missing_ok=True)
os.mkfifo(folder / "1a.4.json")
real_check, check = check, lambda step: check.__globals__.update(check=real_check)
