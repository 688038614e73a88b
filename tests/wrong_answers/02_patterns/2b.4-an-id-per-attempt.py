import uuid

exec(SOLUTION.replace('f"sales-batch-{batch_id}"', "str(uuid.uuid4())"))
