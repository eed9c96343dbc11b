import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format

from tiffin.serving import wire


def test_methods_of_the_services():
    assert {name: method.path for name, method in wire.METHODS.items()} == {
        "Classify": "/tensorflow.serving.PredictionService/Classify",
        "Regress": "/tensorflow.serving.PredictionService/Regress",
        "Predict": "/tensorflow.serving.PredictionService/Predict",
        "MultiInference": "/tensorflow.serving.PredictionService/MultiInference",
        "GetModelMetadata": "/tensorflow.serving.PredictionService/GetModelMetadata",
        "GetModelStatus": "/tensorflow.serving.ModelService/GetModelStatus",
        "HandleReloadConfigRequest": "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
    }
    assert wire.METHODS["Predict"].request is wire.PredictRequest


def test_the_descriptors_equal_the_proto_files(tmp_path):
    """`make golden` writes them."""
    folder = Path(wire.__file__).parent
    written = tmp_path / "descriptors.binpb"
    arguments = [f"--proto_path={folder}", f"--descriptor_set_out={written}"]
    names = ["tensorflow.proto", "tensorflow_serving.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments, *names], check=True)

    assert written.read_bytes() == (folder / "descriptors.binpb").read_bytes()


def test_known_bytes():
    request = wire.PredictRequest(output_filter=["y"])
    request.model_spec.name = "m"
    request.model_spec.version.value = 3
    request.inputs["x"].dtype = 1

    assert request.SerializeToString() == b"\n\x07\n\x01m\x12\x02\x08\x03\x12\x07\n\x01x\x12\x02\x08\x01\x1a\x01y"


def test_unknown_fields_are_kept():
    unknown = b"\x32\x02id"  # client_id, which streamed prediction uses

    assert wire.PredictRequest.FromString(unknown).SerializeToString() == unknown


def test_numbers_are_packed_and_a_oneof_holds_one():
    assert wire.TensorProto(float_val=[1, 2]).SerializeToString() == b"\x2a\x08\0\0\x80\x3f\0\0\0\x40"
    spec = wire.ModelSpec(version_label="stable")
    spec.version.value = 1

    assert spec.WhichOneof("version_choice") == "version"
    assert spec.version_label == ""


def test_an_unknown_message():
    with pytest.raises(AttributeError, match="'Prediction'"):
        _ = wire.Prediction


def test_any_is_resolved_in_our_pool():
    response = wire.GetModelMetadataResponse()
    response.metadata["signature_def"].Pack(wire.SignatureDefMap())

    assert response.metadata["signature_def"].type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    assert "SignatureDefMap" in text_format.MessageToString(response, descriptor_pool=wire.POOL)


def test_the_default_pool_is_unchanged():
    script = (
        "from tiffin.serving import wire; from google.protobuf import descriptor_pool\n"
        "try: descriptor_pool.Default().FindMessageTypeByName('tensorflow.TensorProto')\n"
        "except KeyError: print('free')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "free\n"
