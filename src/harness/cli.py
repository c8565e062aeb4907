"""Where the `dalle` command starts; what it can do is in `harness.commands`."""

import signal
import sys


def main(arguments: list[str] | None = None, tree: type | None = None) -> None:
    """Run a command line, the shell's own where none is given, and exit; `tree` is what params.yaml is checked against."""
    if arguments is None:  # called from a shell, where `dalle trace ... | head` ends quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        from harness.commands import dalle
    except ModuleNotFoundError as missing:  # an environment older than the lock
        print(f"ERROR dalle: {missing.name} is not installed: make repro makes the environment anew", file=sys.stderr)
        sys.exit(2)
    dalle().main(arguments, prog_name="dalle", obj=tree)


if __name__ == "__main__":
    main()
