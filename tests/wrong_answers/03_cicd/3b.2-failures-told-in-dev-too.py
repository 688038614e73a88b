exec(SOLUTION.replace("      name: retail daily\n", '      name: retail daily\n      email_notifications: {on_failure: ["${var.alerts}"]}\n').replace("    resources: *alerts\n", "").replace("""\
    resources: &alerts
      jobs:
        daily:
          email_notifications:
            on_failure: ["${var.alerts}"]
""", ""))
