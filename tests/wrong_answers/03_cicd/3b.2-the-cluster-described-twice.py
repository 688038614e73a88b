exec(SOLUTION.replace("new_cluster: ${var.cluster}", 'new_cluster: {spark_version: 17.3.x-scala2.13, node_type_id: "${var.node_type}", num_workers: "${var.workers}"}'))
