exec(SOLUTION.replace('f"sales-batch-{batch_id}", "txnVersion": 1', '"sales", "txnVersion": batch_id'))
