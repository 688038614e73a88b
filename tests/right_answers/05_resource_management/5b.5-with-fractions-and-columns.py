from collections import Counter, defaultdict
from datetime import date, timedelta
from fractions import Fraction


def charge_back(month):
    prices = defaultdict(list)
    for each in month["prices"]:
        prices[each["sku_name"]].append((each["price_start_time"], Fraction(each["price"])))
    costs, days, shared, owners = Counter(), Counter(), Counter(), {}
    for row in month["usage"]:
        price = max((start, price) for start, price in prices[row["sku_name"]] if start <= row["usage_start_time"])[1]
        cost, team = Fraction(row["usage_quantity"]) * price, row["custom_tags"].get("team")
        days[row["usage_date"]] += cost
        if team == "shared":
            shared[row["cluster_id"], row["usage_date"]] += cost
        else:
            costs[team or "untagged"] += cost
            owners[row["cluster_id"]] = team
    for (cluster, day), cost in shared.items():
        used = Counter()
        for row in month["work"]:
            if row["cluster_id"] == cluster and row["day"] == day:
                used[row["team"]] += row["seconds"]
        for team, seconds in used.items() or [("platform", 1)]:
            costs[team] += cost * Fraction(seconds, sum(used.values()) or 1)
    total, exact, given, lines = sum(costs.values()), Fraction(0), 0, {}
    for team in sorted(costs):  # what a line loses by rounding, the next one gets
        exact += costs[team]
        lines[team] = round(exact * 100) - given
        given += lines[team]
    idle = {}
    for team in set(owners.values()) - {None}:
        mine = [row for row in month["nodes"] if owners.get(row["cluster_id"]) == team]
        idle[team] = float(1 - Fraction(sum(row["busy_minutes"] for row in mine), sum(row["machine_minutes"] for row in mine)))
    last = date.fromisoformat(month["through"])
    forecast = total
    for ahead in range(1, month["days"] - last.day + 1):
        day, same = last + timedelta(days=ahead), []
        while (day := day - timedelta(days=7)).month == last.month:
            same += [day] if day <= last else []
        forecast += Fraction(sum(days[each.isoformat()] for each in same), len(same))
    def text(cents):
        return f"{cents // 100}.{cents % 100:02d}"

    return {"costs": {team: text(cents) for team, cents in lines.items()}, "total": text(given), "idle": idle, "forecast": text(round(forecast * 100))}


if __name__ == "__main__":
    report = charge_back(month(lab.seed, "this"))
    picture, (axis,) = figure(width=6, height=2.4)
    axis.bar([f"{name} ({cost})" for name, cost in report["costs"].items()], [float(cost) for cost in report["costs"].values()])
    picture.suptitle(f"March so far: {report['total']}")
    axis.set_ylabel("cost")
    drawn = bars_of(picture)
