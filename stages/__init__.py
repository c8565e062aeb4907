"""The stages, one script each; the library they import is the one beside them, also in copies that DVC makes for a queue."""

import os
import sys
from pathlib import Path

# before torch is imported: spinning OpenMP threads make it several times slower on a shared machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
