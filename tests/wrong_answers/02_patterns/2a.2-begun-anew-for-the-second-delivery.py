# Silver is right, but the second run applies everything again.
exec(SOLUTION.replace("captured.deliver(lab, 2)\n", "captured.deliver(lab, 2)\ndrop_auto_cdc_flow('silver_households')\n"))
