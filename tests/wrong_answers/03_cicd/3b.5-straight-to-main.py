delivery_files = project
(project / "delivery.py").write_text('''\
import subprocess


def deliver(hub, clone, ticket):
    for path, text in ticket["files"].items():
        (clone / path).write_text(text)
    for command in ("git add -A", "git commit -qm wip", "git push -q origin HEAD:main"):
        subprocess.run(command.split(), cwd=clone, check=False)
    return "released"
''')
