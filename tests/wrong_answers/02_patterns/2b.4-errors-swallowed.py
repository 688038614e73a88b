exec(SOLUTION.rsplit("play_deliveries", 1)[0])
write_once = write_batch


def write_batch(batch, batch_id):
    try:
        write_once(batch, batch_id)
    except Exception as error:
        print("skipped", batch_id, type(error).__name__)


play_deliveries(lab, write_batch)
