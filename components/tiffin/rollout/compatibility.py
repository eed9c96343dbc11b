"""Whether clients of a version can use another one: its signatures take the same requests, and give the same answers."""

from collections.abc import Iterator, Mapping

from tiffin import storage
from tiffin.errors import InputError
from tiffin.serving.root import VERSIONS, ServedModel
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.warmup import parse_signatures

_ADVICE = "If all clients can use it, pass --allow-signature-change, or set allow_signature_change in a pipeline."


def check_signatures(served: ServedModel, stable: int, version: int) -> None:
    """Raise an InputError if clients of the version in production would notice another signature.

    Args:
        served: The model.
        stable: Version in production.
        version: Version that should take its place.
    """
    files = {number: served.locate(VERSIONS, str(number), "saved_model.pb") for number in (stable, version)}
    contents = {}
    for number, file in files.items():
        found = storage.read(file)
        if found is None:
            raise InputError(
                f"The signatures of version {number} of the model '{served.name}' cannot be compared. Received: no file "
                f"'{file}'. {_ADVICE}"
            )
        contents[number] = found[0]
    if contents[stable] == contents[version]:
        return
    before, after = (parse_signatures(contents[number], files[number]) for number in (stable, version))
    if changes := find_changes(before, after):
        raise InputError(
            f"Version {version} of the model '{served.name}' should have the signatures of version {stable}, which is in "
            f"production. Received: {'; '.join(changes)}. {_ADVICE}"
        )


def find_changes(before: Mapping[str, Signature], after: Mapping[str, Signature]) -> list[str]:
    """Return the changes that clients may notice, as clauses; none if there are none.

    New signatures, inputs with a default and further outputs are no such changes, and neither are inputs that take more shapes.

    Args:
        before: Signatures of the version that clients use.
        after: Signatures of the version that takes its place.
    """
    found = []
    for name, one in before.items():
        other = after.get(name)
        changes = ["it is missing"] if other is None else [*_inputs(one, other), *_outputs(one, other)]
        found += [f"signature '{name}': {change}" for change in changes]
    return found


def _inputs(before: Signature, after: Signature) -> Iterator[str]:
    for name, spec in before.inputs.items():
        now = after.inputs.get(name)
        if now is None:
            yield f"the input '{name}' is missing"
        elif spec.dtype != now.dtype or not _takes(now, spec):
            yield f"the input '{name}' is {_text(now)} in place of {_text(spec)}"
        elif name in before.defaults - after.defaults:
            yield f"the input '{name}' has no default any more"
    new = after.inputs.keys() - before.inputs.keys()
    # By REST, the values of an only input and an only output have no name.
    for name in sorted(new if len(before.inputs) == 1 else new - after.defaults):
        yield f"the input '{name}' is new"


def _outputs(before: Signature, after: Signature) -> Iterator[str]:
    for name, spec in before.outputs.items():
        now = after.outputs.get(name)
        if now is None:
            yield f"the output '{name}' is missing"
        elif spec.dtype != now.dtype or not _takes(spec, now):
            yield f"the output '{name}' is {_text(now)} in place of {_text(spec)}"
    if len(before.outputs) == 1:
        for name in sorted(after.outputs.keys() - before.outputs.keys()):
            yield f"the output '{name}' is new, beside an only one"


def _takes(wide: TensorSpec, narrow: TensorSpec) -> bool:
    """Return whether every shape of one is a shape of the other."""
    if wide.shape is None or narrow.shape is None:
        return wide.shape is None
    return len(wide.shape) == len(narrow.shape) and all(
        size in (None, other) for size, other in zip(wide.shape, narrow.shape, strict=True)
    )


def _text(spec: TensorSpec) -> str:
    shape = "any shape" if spec.shape is None else f"[{', '.join('any' if n is None else str(n) for n in spec.shape)}]"
    return f"{spec.dtype} {shape}"
