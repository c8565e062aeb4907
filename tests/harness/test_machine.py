"""What a run's record says of the machine: read from a list of processors as Linux writes it."""

import json
from pathlib import Path

import torch

from harness.lineage import RunRecord, read_record
from harness.machine import describe_machine
from harness.params import read_yaml
from harness.pipeline import find_stage, read_pipeline

TWO_PROCESSORS = """\
processor\t: 0
model name\t: Toy 9000 64-Core Processor
flags\t\t: fpu avx2 avx512f avx512_bf16 made_up

processor\t: 1
model name\t: Another
flags\t\t: fpu amx_bf16
"""


def recorded(stage: str) -> RunRecord | None:
    return read_record(find_stage(read_pipeline(Path("dvc.yaml"), read_yaml(Path("params.yaml"))), stage, None))


def test_the_first_processor_and_its_known_flags(tmp_path, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    (tmp_path / "cpuinfo").write_text(TWO_PROCESSORS)
    found = describe_machine("cpu", tmp_path / "cpuinfo")
    assert found["cpu"] == "Toy 9000 64-Core Processor" and found["flags"] == "avx2 avx512f avx512_bf16"
    assert found["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_BF16" and "DNNL_MAX_CPU_ISA" not in found
    assert found["isa"] == torch.backends.cpu.get_cpu_capability() and "gpu" not in found


def test_another_system_has_no_list_of_processors(tmp_path):
    found = describe_machine("cpu", tmp_path / "absent")
    assert "flags" not in found and found["cpu"] and found["torch"] == str(torch.__version__)


def test_a_run_records_it_beside_its_outs_and_not_in_its_metrics(project, start):
    process = start("prepare")
    assert process.wait(timeout=60) == 0, process.stderr.read()
    record = recorded("prepare")
    assert record.machine["cpu"] == describe_machine("cpu")["cpu"] and record.machine["threads"] == "1"
    assert "machine" not in Path("reports/metrics/prepare.json").read_text()


def test_a_record_from_before_is_still_read(project, start):
    process = start("prepare")
    assert process.wait(timeout=60) == 0, process.stderr.read()
    path = Path("runs/prepare.json")
    old = json.loads(path.read_text())
    del old["machine"]
    path.write_text(json.dumps(old))
    record = recorded("prepare")
    assert record.machine == {} and record.stage == "prepare"
