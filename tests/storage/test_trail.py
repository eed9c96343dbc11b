"""The trail of a file's writes."""

from tiffin.storage import trail


def test_a_file_that_others_wrote_has_no_trail():
    assert trail.find("a", None, "1") is None
    assert trail.find("a", "", "1") is None
    assert trail.extend("a", None, "1") == "a"


def test_the_newest_write_has_the_current_version():
    first = trail.extend("a", None, None)

    assert (first, trail.find("a", first, "1"), trail.find("b", first, "1")) == ("a", "1", None)


def test_earlier_writes_have_their_versions():
    second = trail.extend("b", trail.extend("a", None, None), "1")
    third = trail.extend("c", second, "2")

    assert third == "c b@2 a@1"
    assert [trail.find(write, third, "3") for write in "abcd"] == ["1", "2", "3", None]


def test_a_trail_is_bounded():
    found = None
    for number in range(100):
        found = trail.extend(f"{number:016x}", found, '"0123456789abcdef0123456789abcdef"')

    assert found.startswith(f"{99:016x} {98:016x}@")
    assert len(found) < 1800  # S3 takes 2 KB of metadata
