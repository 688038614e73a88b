from collections import defaultdict


class DailyQuota:
    """Nothing is paused: whatever comes is cancelled at the next look, and named."""

    def __init__(self, quotas):
        self.quotas = quotas
        self.stage = defaultdict(int)  # 0 fine, 1 warned, 2 stopped, by team and day

    def look(self, now, billed, runs):
        day = now // 86_400_000
        used = defaultdict(float)
        for run in runs:
            if run["began"] is not None:
                until = now if run["ended"] is None else run["ended"]
                used[run["team"]] += run["dbus_per_hour"] * max(0, until - max(run["began"], day * 86_400_000)) / 3.6e6
        for team, quota in self.quotas.items():
            reached = 2 if used[team] >= quota else 1 if used[team] >= 0.8 * quota else 0
            if reached > self.stage[team, day]:
                self.stage[team, day] = reached
                yield {"do": "tell", "team": team, "text": ["", "80 % of the quota is used", "the quota is used up"][reached]}
            if self.stage[team, day] == 2:
                for run in runs:
                    if run["team"] == team and not run["urgent"] and run["ended"] is None:
                        yield {"do": "cancel", "run_id": run["run_id"]}
                        yield {"do": "tell", "team": team, "text": f"run {run['run_id']} of {run['job']} was cancelled"}


class DailyQuota(DailyQuota):
    def look(self, now, billed, runs):
        return list(super().look(now, billed, runs))


if __name__ == "__main__":
    exec(SOLUTION[SOLUTION.index("if __name__") :])
