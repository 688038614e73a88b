bundle_files = project.parent / "one-file"
bundle_files.mkdir(exist_ok=True)
_ = (bundle_files / "databricks.yml").write_text("""\
bundle: {name: retail}
include: ["*.yml"]
variables:
  workers: {description: how many}
  node_type: {description: which machines}
  source_schema: {}
  target_schema: {}
  cron: {}
  alerts: {default: nobody}
  machines:
    type: complex
    default: {num_workers: "${var.workers}", node_type_id: "${var.node_type}", spark_version: 17.3.x-scala2.13}
  failed:
    type: complex
    default: []
resources:
  jobs:
    smoke:
      name: ${bundle.name} smoke
      tasks:
        - {task_key: it, new_cluster: "${var.machines}", spark_python_task: {python_file: jobs/smoke.py, parameters: ["--target", "${var.target_schema}"]}}
    daily:
      name: ${bundle.name} daily
      email_notifications: {on_failure: "${var.failed}"}
      schedule: {quartz_cron_expression: "${var.cron}", timezone_id: UTC}
      tasks:
        - task_key: it
          new_cluster: ${var.machines}
          spark_python_task:
            python_file: ./jobs/load_day.py
            parameters: ["--source", "${var.source_schema}", "--target", "${var.target_schema}", "--day", "{{job.start_time.iso_date}}"]
targets:
  prod:
    mode: production
    workspace: {root_path: /Shared/retail/prod}
    variables: {failed: ["${var.alerts}"]}
  qa:
    workspace: {root_path: /Shared/retail/qa}
    variables: {failed: ["${var.alerts}"]}
    resources: {jobs: {daily: {schedule: {pause_status: PAUSED}}}}
  dev: {mode: development, default: true}
""")
