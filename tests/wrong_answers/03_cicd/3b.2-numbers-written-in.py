exec(SOLUTION.replace("num_workers: ${var.workers}", "num_workers: 8"))
