# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Values
#
# Two hundred numbers, five steps.

# %% tags=["parameters"]
SEED = 0

# %% tags=["setup"]
import json
import random
import statistics

from labs_lib import check, open_lab

lab = open_lab("01_values", seed=SEED)
numbers = random.Random(SEED).choices(range(1000), k=200)

# %% [markdown]
# ## A lesson

# %%
print("numbers:", len(numbers))

# %% [markdown]
# ### Step 1a.1

# %% tags=["answer:1a.1"]
### BEGIN SOLUTION
summary = {"total": sum(numbers), "share": max(numbers) / sum(numbers)}
### END SOLUTION

# %% tags=["check:1a.1"]
check("1a.1")

# %% [markdown]
# ### Step 1a.2

# %% tags=["answer:1a.2"]
### BEGIN SOLUTION
middle = statistics.median(numbers)
### END SOLUTION

# %% tags=["check:1a.2"]
check("1a.2")

# %% [markdown]
# ### Step 1a.3


# %% tags=["answer:1a.3"]
### BEGIN SOLUTION
def gaps(values):
    return [after - before for before, after in zip(values, values[1:])]
### END SOLUTION

# %% tags=["check:1a.3"]
check("1a.3")

# %% [markdown]
# ### Step 1a.4

# %% tags=["answer:1a.4"]
### BEGIN SOLUTION
settings_file = lab.folder / "settings.json"
settings_file.write_text(json.dumps({"low": min(numbers), "high": max(numbers)}))
### END SOLUTION

# %% tags=["check:1a.4"]
check("1a.4")

# %% [markdown]
# ### Step 1a.5

# %% tags=["answer:1a.5"]
### BEGIN SOLUTION
order = sorted(range(len(numbers)), key=lambda place: (-numbers[place], place))
largest = [{"place": place, "number": numbers[place]} for place in order[:3]]
### END SOLUTION

# %% tags=["check:1a.5"]
check("1a.5")

# %% [markdown]
# ### Step 1b.1


# %% tags=["answer:1b.1"]
### BEGIN SOLUTION
class Tally:
    def __init__(self):
        self.total, self.best = 0, None

    def add(self, number):
        self.total += number
        self.best = number if self.best is None else max(self.best, number)
        return self.total
### END SOLUTION

# %% tags=["check:1b.1"]
check("1b.1")

# %% [markdown]
# ### Step 1b.2


# %% tags=["answer:1b.2"]
### BEGIN SOLUTION
def patient(fetch):
    while True:
        try:
            return fetch()
        except ConnectionError:
            pass
### END SOLUTION

# %% tags=["check:1b.2"]
check("1b.2")

# %% [markdown]
# ### Step 1b.3

# %% tags=["answer:1b.3"]
### BEGIN SOLUTION
bands = lab.folder / "bands"
bands.mkdir(exist_ok=True)
for name, low, high in (("small", 0, 300), ("middle", 300, 700), ("large", 700, 1000)):
    (bands / f"{name}.json").write_text(json.dumps({"name": name, "low": low, "high": high}))
### END SOLUTION

# %% tags=["check:1b.3"]
check("1b.3")

# %% [markdown]
# ### Step 1b.4

# %% tags=["answer:1b.4"]
### BEGIN SOLUTION
policy = {"limit": max(numbers), "bands": ["small", "middle", "large"]}
### END SOLUTION

# %% tags=["check:1b.4"]
check("1b.4")

# %% [markdown]
# ### Step 1b.5

# %% tags=["answer:1b.5"]
### BEGIN SOLUTION
from pathlib import Path

Path("ranks.py").write_text("def ranked(values):\n    return sorted(set(values), reverse=True)\n")
from ranks import ranked
### END SOLUTION

# %% tags=["check:1b.5"]
check("1b.5")
