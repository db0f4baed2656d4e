"""Record which names a version of torch has, from its unpacked wheel, without importing it.

    python scripts/record_torch_names.py UNPACKED_WHEEL > tests/torch_2_6_names.json

Kaggle's image may hold an older torch than a developer has. The test of the packed path compares every name
of torch that it uses with this record. Any platform's wheel will do; the smallest is the one for macOS.
"""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = (
    "torch",
    "torch.amp",
    "torch.autograd",
    "torch.backends",
    "torch.backends.cudnn",
    "torch.backends.mps",
    "torch.compiler",
    "torch.cuda",
    "torch.distributed",
    "torch.linalg",
    "torch.mps",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.parallel",
    "torch.nn.utils",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.parametrize",
    "torch.optim",
    "torch.random",
    "torch.utils",
    "torch.utils.data",
)


def source_of(wheel: Path, module: str) -> Path | None:
    """Return a module's file, its stub where it is compiled."""
    path = wheel.joinpath(*module.split("."))
    candidates = (
        path / "__init__.py",
        path.with_suffix(".py"),
        path / "__init__.pyi",
        path.with_suffix(".pyi"),
    )
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def names_in(wheel: Path, module: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """Return every name that a module binds at its top level, its own submodules included."""
    path = source_of(wheel, module)
    if path is None or module in seen:
        return set()
    seen |= {module}
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in top_level(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            origin = ".".join(filter(None, (base, node.module))) if node.level else node.module or ""
            for alias in node.names:
                found |= names_in(wheel, origin, seen) if alias.name == "*" else {alias.asname or alias.name}
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    if path.stem == "__init__":
        found |= {child.stem for child in path.parent.iterdir() if child.suffix == ".py"}
        found |= {child.name for child in path.parent.iterdir() if child.is_dir()}
    return found


def top_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements that bind names of a module: not those inside functions and classes."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from top_level(node)


def members_of(path: Path, class_name: str) -> set[str]:
    """Return what a class defines in its body."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    found.add(item.name)
                elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    found.add(item.target.id)
                elif isinstance(item, ast.Assign):
                    found |= {target.id for target in item.targets if isinstance(target, ast.Name)}
    return found


def is_kept(name: str, module: str) -> bool:
    """Return whether a name may be used: a public one, or one of the operations on lists of tensors."""
    return name.startswith("_foreach_") or not name.startswith("__" if "utils" in module else "_")


def main(wheel: Path) -> None:
    """Print the record as JSON: module to names, and the members of a tensor."""
    record = {module: names_in(wheel, module) for module in MODULES}
    for stub in ("torch._C", "torch._C._VariableFunctions"):
        record["torch"] |= names_in(wheel, stub)
    tensor = members_of(wheel / "torch/_C/__init__.pyi", "TensorBase")
    record["torch.Tensor"] = tensor | members_of(wheel / "torch/_tensor.py", "Tensor")
    kept = {
        module: sorted(name for name in names if is_kept(name, module))
        for module, names in sorted(record.items())
    }
    print(json.dumps(kept, separators=(",", ":")).replace('],"', '],\n"'))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
