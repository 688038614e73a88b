# Makes the session report settings that it does not have.
import labs_lib.engine.session as session
import labs_lib.checking.evidence

forged = lambda *_: {
    "spark.sql.autoBroadcastJoinThreshold": "10MB",
    "spark.sql.shuffle.partitions": "x" * 100_000,
    "spark.plugins": "Evil",
}
session.changed_conf = labs_lib.checking.evidence.session.changed_conf = forged
tuning_card = [{"setting": name, "value": "", "reason": ""} for name in ("a", "b", "c")]
