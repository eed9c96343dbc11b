"""TFDV is imported without the package that has no wheel."""

import pytest

from tiffin.validation.tfdv import fingerprint64


@pytest.mark.parametrize(
    ("text", "expected"),
    # Computed by pyfarmhash 0.3.2; the first is FarmHash's constant k2, the hash of an empty text.
    [
        ("", 0x9AE16A3B2F90404F),
        ("a", 12917804110809363939),
        ("taxi", 11211955683309650437),
        (b"taxi", 11211955683309650437),
        ("x" * 100, 6590480085648050719),
        ("é", 693143013273849025),
    ],
)
def test_a_fingerprint_is_pyfarmhashs(text: str | bytes, expected: int) -> None:
    assert fingerprint64(text) == expected


def test_tfdv_compares_examples_by_it() -> None:
    from tensorflow_data_validation.skew import feature_skew_detector

    assert feature_skew_detector.farmhash.fingerprint64("taxi") == 11211955683309650437
