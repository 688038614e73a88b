# A subclass of DataFrame whose plan and columns are whatever is asked for.
from pyspark.sql.connect.dataframe import DataFrame


class Frame(DataFrame):
    @property
    def columns(self):
        return ["product_id", "lines"]

    @property
    def _plan(self):
        return self

    def to_proto(self, *args):
        return self

    root = property(lambda self: self)

    def SerializeToString(self):
        return b"\xff" * 100


hot_keys = Frame.__new__(Frame)
shuffle_join = {"operator": "", "keys": []}
