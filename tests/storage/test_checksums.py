"""Checksums of objects, with the published check values of the digits 1 to 9."""

import base64
import hashlib
import io

import pytest

from tiffin.storage import checksums

RUNS_IN = ("data", "model")

DIGITS = b"123456789"
KNOWN = {
    "ChecksumCRC32": "cbf43926",
    "ChecksumCRC32C": "e3069283",
    "ChecksumCRC64NVME": "ae8b14860a799888",
    "ChecksumSHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "ChecksumSHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


def encoded(digest):
    return base64.b64encode(digest).decode()


class TestFind:
    def test_an_object_without_a_checksum(self):
        assert checksums.find({}) == []
        assert checksums.find({"ETag": '"opaque"', "ChecksumSHA256": None}) == []

    def test_an_etag_is_an_md5(self):
        digest = hashlib.md5(DIGITS).digest()

        assert checksums.find({"ETag": f'"{digest.hex()}"'}) == [checksums.Checksum("ETag", digest)]
        assert checksums.find({"ETag": f'"{digest.hex()}-3"'}) == [checksums.Checksum("ETag", digest, 3)]

    @pytest.mark.parametrize(
        "encryption",
        [
            {"ServerSideEncryption": "aws:kms"},
            {"ServerSideEncryption": "aws:kms:dsse"},
            {"SSECustomerAlgorithm": "AES256"},
        ],
    )
    def test_the_etag_of_an_object_with_its_own_key_is_no_md5(self, encryption):
        assert checksums.find({"ETag": f'"{"0" * 32}"', **encryption}) == []
        assert checksums.find({"ETag": f'"{"0" * 32}"', "ServerSideEncryption": "AES256"}) != []

    def test_a_checksum_of_the_whole_object_comes_first(self):
        described = {
            "ETag": f'"{"0" * 32}-2"',
            "ChecksumSHA256": encoded(b"1" * 32) + "-2",
            "ChecksumCRC32": encoded(b"1234"),
        }

        assert [(found.algorithm, found.parts) for found in checksums.find(described)] == [
            ("ChecksumCRC32", 0),
            ("ChecksumSHA256", 2),
            ("ETag", 2),
        ]


class TestMatches:
    @pytest.mark.parametrize(("algorithm", "digest"), KNOWN.items())
    def test_each_algorithm(self, algorithm, digest):
        [checksum] = checksums.find({algorithm: encoded(bytes.fromhex(digest))})

        assert checksums.matches(io.BytesIO(DIGITS), checksum)
        assert not checksums.matches(io.BytesIO(b"123456788"), checksum)
        assert not checksums.matches(io.BytesIO(b""), checksum)

    @pytest.mark.parametrize("algorithm", KNOWN)
    def test_content_of_several_chunks(self, algorithm, monkeypatch):
        [checksum] = checksums.find({algorithm: encoded(bytes.fromhex(KNOWN[algorithm]))})
        monkeypatch.setattr(checksums, "_CHUNK_BYTES", 4)

        assert checksums.matches(io.BytesIO(DIGITS), checksum)

    def test_a_checksum_of_parts(self):
        parts = hashlib.md5(hashlib.md5(b"12345").digest() + hashlib.md5(b"6789").digest()).digest()
        checksum = checksums.Checksum("ETag", parts, 2)

        assert checksums.matches(io.BytesIO(DIGITS), checksum, [5, 4])
        assert not checksums.matches(io.BytesIO(DIGITS), checksum, [4, 5])
        assert not checksums.matches(io.BytesIO(b"023456789"), checksum, [5, 4])


def test_what_is_sent():
    file = io.BytesIO(DIGITS)
    file.seek(3)

    assert checksums.sent(file) == {
        "ContentMD5": encoded(hashlib.md5(DIGITS).digest()),
        "ChecksumAlgorithm": "CRC32",
        "ChecksumCRC32": encoded(bytes.fromhex(KNOWN["ChecksumCRC32"])),
    }
    assert file.tell() == 0
