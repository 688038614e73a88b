# "Delete the checkpoint and start again": the table stays right, as the MERGE doesn't mind, but all files are read again for it.
exec(SOLUTION.replace("rehearsal = rehearse(lab, resume)\nrehearsal", ""))
careful = resume


def resume(source, checkpoint, table, quarantine):
    try:
        careful(source, checkpoint, table, quarantine)
    except Exception:
        shutil.rmtree(checkpoint, ignore_errors=True)
        raise


rehearsal = rehearse(lab, resume)
