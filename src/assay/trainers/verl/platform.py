"""verl's platform for machines without an accelerator: VERL_PLATFORM=cpu. Needs verl.

verl has engines for accelerators alone; that for CUDA runs on CPU, and verl finds it by
VERL_ENGINE_DEVICE, which is set here. FSDP2 with gloo works; FSDP1 does not.
"""
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

import os
import types
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

ENGINE: Final = "VERL_ENGINE_DEVICE"


class _Device(types.ModuleType):
    """torch.cpu, and what verl calls beside it on an accelerator's module."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def _nothing(self, *_: Any, **__: Any) -> None: ...

    def _zero(self, *_: Any) -> int:
        return 0

    empty_cache = ipc_collect = reset_peak_memory_stats = set_device = _nothing
    memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _zero

    def mem_get_info(self, *_: Any) -> tuple[int, int]:
        import psutil

        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def get_device_name(self, *_: Any) -> str:
        return "CPU"

    def get_rng_state(self, *_: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, *_: Any) -> None:
        torch.set_rng_state(state)

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed


class CPU(PlatformBase):
    """A machine without accelerator; what verl counts as a GPU is a number that Ray was told."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _Device("assay_cpu")

    def is_available(self) -> bool:
        """Returns True: there is always a CPU."""
        return True

    def current_device(self) -> Any:
        """Returns where tensors go."""
        return "cpu"

    def device_count(self) -> int:
        """Returns 1."""
        return 1

    def _nothing(self, *_: Any, **__: Any) -> None: ...

    set_device = synchronize = set_allocator_settings = empty_cache = _nothing
    profiler_start = profiler_stop = cudart = _nothing

    def manual_seed(self, seed: int) -> None:
        """Seeds torch."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        """Returns that there is none."""
        return None, None

    def communication_backend_name(self) -> str:
        """Returns what processes talk by."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """Returns the variable that Ray sets."""
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Generator[None]:
        """Does nothing around a block."""
        yield

    def ray_resource_name(self) -> str:
        """Returns what Ray counts: ray.init(num_gpus=1) makes one up."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """Returns none."""
        return []

    def is_ipc_supported(self) -> bool:
        """Returns False."""
        return False


def install() -> None:
    """Registers the platform, and mends what verl assumes of every one."""
    os.environ.setdefault(ENGINE, "cuda")
    PlatformRegistry.register(platform="cpu")(CPU)
    _gloo()
    _unpinned()


def _gloo() -> None:
    """verl asks for "cpu:gloo,DEVICE:BACKEND", which names cpu twice here."""
    import verl.utils.distributed as theirs

    begin = theirs.initialize_global_process_group_ray

    def begun(timeout_second: int | None = None, backend: str | None = None) -> None:
        begin(timeout_second, backend or "gloo")

    theirs.initialize_global_process_group_ray = begun


def _unpinned() -> None:
    """verl builds a reference model with pinned memory, which needs an accelerator."""
    import verl.utils.fsdp_utils as theirs

    policy = theirs.CPUOffloadPolicy
    theirs.CPUOffloadPolicy = lambda pin_memory=False: policy(pin_memory=False)
