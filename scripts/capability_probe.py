"""A thin door to `perpsctl probe`: what the venue is to us today. Arguments and exit code are those of the command."""

import sys

from perpsctl.commands.app import invoke


def main() -> int:
    """Run `perpsctl probe` with the arguments of this script."""
    return invoke(["probe", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
