from tiffin.authoring.compilation import compile_pipeline
from tiffin.specs.adjustments import NONE, Adjustments, adjust


def test_none_change_nothing() -> None:
    assert not NONE
    assert adjust(b"not even read", NONE) == b"not even read"


def test_all_are_made() -> None:
    spec = compile_pipeline("training")
    adjustments = Adjustments(("train=large",), ("train=1h",), ("train=data:/data",))

    assert adjustments
    one_by_one = adjust(spec, Adjustments(sizes=("train=large",)))
    one_by_one = adjust(one_by_one, Adjustments(deadlines=("train=1h",)))
    assert len({spec, one_by_one, adjust(one_by_one, Adjustments(mounts=("train=data:/data",)))}) == 3
    assert adjust(spec, adjustments) == adjust(one_by_one, Adjustments(mounts=("train=data:/data",)))
