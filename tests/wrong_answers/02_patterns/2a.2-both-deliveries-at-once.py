exec(SOLUTION.replace("run_both()\ncaptured.deliver(lab, 2)\nrun_both()", "captured.deliver(lab, 2)\nrun_both()"))
