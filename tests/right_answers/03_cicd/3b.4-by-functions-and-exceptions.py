release_files = project.parent / "other-release"
release_files.mkdir(exist_ok=True)
_ = (release_files / "release.py").write_text('''\
import os
import subprocess


def bundle(verb, target, *more):
    subprocess.run(["labs", "bundle", verb, *more, "--target", target], check=True)


def main():
    subprocess.check_call("python -m pytest tests", shell=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    for target in ("prod", "dev"):
        bundle("validate", target)
    bundle("deploy", "dev")
    bundle("run", "dev", "smoke")
    bundle("deploy", "prod")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"stopped: {error}") from None
''')
