"""What a person sees when something goes wrong: one line for what they can mend, a traceback for what we must."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dalle.config import LinesError

MENDABLE = (ValueError, OSError, FloatingPointError)  # ConfigError is a ValueError
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_code_of(name: str, work: Callable[[], int | None]) -> int:
    """Do `work`: the code it returns or 0, 2 after an error (in one line, unless it is a list), 130 when stopped, 1 after a
    traceback.

    DALLE_TRACEBACK=1 always shows the traceback.
    """
    print_anything()
    try:
        return work() or 0
    except MENDABLE as error:
        if os.environ.get("DALLE_TRACEBACK", "0") not in ("", "0"):
            traceback.print_exc()
        print(f"ERROR {name}: {error if isinstance(error, LinesError) else one_line(error)}", file=sys.stderr)
        return 2
    except SystemExit as stop:
        print(f"ERROR {name}: ended early by sys.exit({stop.code!r})", file=sys.stderr)
        return stop.code if isinstance(stop.code, int) and stop.code else 1
    except KeyboardInterrupt:
        print(f"STOPPED {name}", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        return 1


def print_anything() -> None:
    """Let a terminal that lacks an arrow, or a letter of a file's name, show its number: that is no reason to end the work."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not what tests put in its place
            stream.reconfigure(errors="backslashreplace")


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def stop_signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the work like Ctrl-C does: as a `KeyboardInterrupt` that can still record it.

    After the first signal further ones are ignored, so that a second Ctrl-C does not cut the recording off.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for other in STOP_SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
