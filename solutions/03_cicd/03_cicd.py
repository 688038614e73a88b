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
# # Module 3: CI/CD

# %% tags=["parameters"]
SEED = 0  # which variation of the data; the checks know what it holds

# %% tags=["setup"]
from labs_lib import check, open_lab, progress
from labs_lib.cicd import lay_project

lab = open_lab("03_cicd", seed=SEED)
project = lay_project()

# %% [markdown]
# ## Exercise 3a: Testing
#
# Exercise 3a (Testing) is still to come.

# %% [markdown]
# ## Exercise 3b: Deployment
#
# Exercise 3b (Deployment) is still to come.
