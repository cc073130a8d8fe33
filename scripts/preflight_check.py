"""A thin door to `perpsctl preflight`: whether this host may trade now. Arguments and exit code are those of the command."""

import sys

from perpsctl.commands.app import invoke


def main() -> int:
    """Run `perpsctl preflight` with the arguments of this script."""
    return invoke(["preflight", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
