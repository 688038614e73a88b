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
