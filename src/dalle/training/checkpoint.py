"""One file that holds everything a training needs to go on as if it had never stopped."""

import os
from pathlib import Path
from typing import Any

import torch


class Checkpoint:
    """A single file, replaced atomically: whoever reads it sees the old state or the new one, never a mixture."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file; an `OSError` where that fails, such as on a full disk, and then the old state is still there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(self.path.name + ".tmp")
        try:
            with open(temporary, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch wraps what the system says
            temporary.unlink(missing_ok=True)
            cause = error if isinstance(error, OSError) else error.__context__ or error
            raise OSError(f"{self.path}: the checkpoint cannot be written ({cause}); the one before it is kept") from error
        os.replace(temporary, self.path)

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None where there is none."""
        if not self.path.exists():
            return None
        return torch.load(self.path, map_location="cpu", weights_only=True)

    def sibling(self, name: str) -> "Checkpoint":
        """Another checkpoint beside this one, for a phase that comes before."""
        return Checkpoint(self.path.with_name(f"{name}.pt"))

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
