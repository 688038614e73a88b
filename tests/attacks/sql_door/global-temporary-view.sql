SELECT * FROM global_temp.emp
