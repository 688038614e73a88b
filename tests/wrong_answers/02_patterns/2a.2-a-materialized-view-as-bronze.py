# A view is computed anew in each run; the flow can't follow a table that is emptied, so silver is made from scratch as well.
exec(SOLUTION.replace("@dp.table", "@dp.materialized_view").replace("readStream", "read").replace("def run_both():\n", "def run_both():\n    drop_auto_cdc_flow('silver_households')\n"))
