"""Faults of a machine, brought about on purpose: code for the `sitecustomize` of every child process."""

_AFTER_IMPORT = '''
import importlib.util, sys


class _Then:
    def __init__(self, loader, change):
        self.loader, self.change = loader, change

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        self.change(module)


class _After:
    """Calls a function with a module once that has been executed."""

    def __init__(self, name, change):
        self.name, self.change = name, change

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        spec.loader = _Then(spec.loader, self.change)
        return spec
'''

_STEP_FAULT = """
def _faulty(module):
    import os, signal, time
    step, calls = module.train_step, 0

    def train_step(*arguments):
        nonlocal calls
        calls += 1
        values = step(*arguments)
        if calls > {steps}:
            {action}
        return values

    module.train_step = train_step


sys.meta_path.insert(0, _After("dogsgan.training.step", _faulty))
"""

_LISTED_GPU = """
def _listed_gpu(torch):
    import types

    torch.cuda.is_available = lambda: "survey" in sys.argv  # elsewhere torch would begin to use it
    torch.cuda.device_count = lambda: 2
    torch.cuda.get_device_name = lambda device=None: "a GPU that is not there"
    torch.cuda.get_device_properties = lambda device=None: types.SimpleNamespace(total_memory=16e9)


sys.meta_path.insert(0, _After("torch", _listed_gpu))
"""

_LOST_GPU = """
def _seemingly_fine(device):
    pick = device.pick_device
    device.works = lambda device: True
    device.pick_device = lambda name="auto": pick("cpu" if name == "auto" else name)


def _lost_by_now(sampling):
    opened = sampling.Sampler.open

    def open(path, *, device="auto", truncation=1.0):
        if device == "auto":
            raise RuntimeError("CUDA error: GPU has fallen off the bus")
        return opened(path, device=device, truncation=truncation)

    sampling.Sampler.open = open


sys.meta_path.insert(0, _After("dogsgan.device", _seemingly_fine))
sys.meta_path.insert(0, _After("dogsgan.models.sampling", _lost_by_now))
"""


_ENDLESS_SAMPLING = """
def _endless(stages):
    import os, time
    write = stages.write_samples

    def write_samples(*arguments, **settings):
        if os.nice(0) < 15:  # the one for safety is nice
            time.sleep(1e6)
        return write(*arguments, **settings)

    stages.write_samples = write_samples


sys.meta_path.insert(0, _After("dogsgan.stages", _endless))
"""


def _in_step(action: str, *, steps: int = 6) -> str:
    return _AFTER_IMPORT + _STEP_FAULT.format(action=action, steps=steps)


FAULTS = {
    "gpu": _AFTER_IMPORT + _LISTED_GPU,
    "lost-gpu": _AFTER_IMPORT + _LISTED_GPU + _LOST_GPU,
    "endless-sampling": _AFTER_IMPORT + _ENDLESS_SAMPLING,
    "hang": _in_step("time.sleep(1e6)"),
    "kill": _in_step('os.environ.get("RANK") == "0" or os.kill(os.getpid(), signal.SIGKILL)'),
    "kill once": _in_step('os.path.exists("killed") or os.kill(open("killed", "w") and os.getpid(), 9)'),
}
"""Name of a fault to its code: two GPUs that are listed and unusable, or gone when it comes to sampling
(until then two processes on the CPU stand for them); a last sampling that does not end; training that
hangs or is killed (of several processes one) after a few steps, or is killed in its first life alone."""


def setting_code(module: str, name: str, value: object) -> str:
    """Return code that sets a name of a module once that is imported: a test's quicker rehearsal."""
    change = f"lambda module: setattr(module, {name!r}, {value!r})"
    return f"{_AFTER_IMPORT}\n\nsys.meta_path.insert(0, _After({module!r}, {change}))\n"


def fault_code(*names: str) -> str:
    """Return the code of these faults."""
    return "".join(FAULTS[name] for name in names)
