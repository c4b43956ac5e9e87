"""Triton's own clients against a gateway: what users of the Open Inference Protocol do.

usage: oip_client.py http|grpc ADDRESS
Prints the name of each check that passed; the first that fails ends it with its traceback.
"""

import queue
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

kind, address = sys.argv[1:]
triton = tritonclient.http if kind == "http" else tritonclient.grpc
client = triton.InferenceServerClient(address)

TENSORS = {
    "bool": np.array([True, False]),
    "int8": np.array([-128, 127], dtype=np.int8),
    "int16": np.array([-32768, 32767], dtype=np.int16),
    "int32": np.array([-(2**31), 2**31 - 1], dtype=np.int32),
    "int64": np.array([-(2**63), 2**63 - 1, 2**53 + 1], dtype=np.int64),
    "uint8": np.array([0, 255], dtype=np.uint8),
    "uint16": np.array([0, 65535], dtype=np.uint16),
    "uint32": np.array([0, 2**32 - 1], dtype=np.uint32),
    "uint64": np.array([0, 2**64 - 1], dtype=np.uint64),
    "fp32": np.array([[1.5, -0.0], [3e38, 1e-45]], dtype=np.float32),
    "fp64": np.array([1e308, 5e-324], dtype=np.float64),
    "bytes": np.array([b"a\x00b", "é".encode(), b""], dtype=np.object_),
}


def infer_input(name, array, **how):
    tensor = triton.InferInput(name, list(array.shape), name.upper())
    tensor.set_data_from_numpy(array, **how)
    return tensor


def same(got, sent):
    if sent.dtype == np.object_:
        as_bytes = lambda item: item.encode() if isinstance(item, str) else item
        return [as_bytes(item) for item in got] == list(sent)
    return got.dtype == sent.dtype and got.tobytes() == sent.tobytes() and got.shape == sent.shape


def server_and_models():
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("tensors") and client.is_model_ready("tensors", "1")
    for page in (client.get_server_metadata, client.get_model_repository_index):
        assert page()
    for page in (client.get_model_metadata, client.get_model_config, client.get_inference_statistics):
        assert "tensors" in str(page("tensors"))


def every_datatype():
    for name, array in TENSORS.items():
        result = client.infer("tensors", [infer_input(name, array)], request_id="7")
        assert same(result.as_numpy(name), array), name
        response = result.get_response()
        assert (response["id"] if kind == "http" else response.id) == "7"


def several_at_once_and_some_back():
    inputs = [infer_input(name, array) for name, array in TENSORS.items()]
    outputs = [triton.InferRequestedOutput(name) for name in ("bytes", "fp32")]
    result = client.infer("tensors", inputs, outputs=outputs)
    assert same(result.as_numpy("fp32"), TENSORS["fp32"]) and same(result.as_numpy("bytes"), TENSORS["bytes"])
    assert result.as_numpy("int8") is None


def halves_and_no_numbers():
    half = np.array([1.5, -2], dtype=np.float16)
    assert same(client.infer("halves", [infer_input("fp16", half)]).as_numpy("fp16"), half)
    odd = np.array([[np.nan, np.inf]], dtype=np.float32)
    assert same(client.infer("tensors", [infer_input("fp32", odd)]).as_numpy("fp32"), odd)


def no_elements():
    for name, array in (("fp64", np.zeros([0])), ("fp32", np.zeros([0, 2], dtype=np.float32))):
        assert client.infer("tensors", [infer_input(name, array)]).as_numpy(name).size == 0


def large_tensor():
    large = np.arange(2_000_000, dtype=np.float32).reshape(-1, 2)
    assert same(client.infer("tensors", [infer_input("fp32", large)]).as_numpy("fp32"), large)


def many_at_once():
    array = TENSORS["int64"]
    if kind == "http":
        crowd = triton.InferenceServerClient(address, concurrency=8)
        requests = [crowd.async_infer("tensors", [infer_input("int64", array)]) for _ in range(40)]
        results = [request.get_result() for request in requests]
    else:
        answers = queue.Queue()
        for _ in range(40):
            client.async_infer("tensors", [infer_input("int64", array)], lambda result, error: answers.put((result, error)))
        results = [answers.get(timeout=30) for _ in range(40)]
        assert all(error is None for _, error in results)
        results = [result for result, _ in results]
    assert all(same(result.as_numpy("int64"), array) for result in results)


def mistakes():
    tensor = infer_input("int8", TENSORS["int8"])
    wrong_shape = triton.InferInput("fp32", [4], "FP32")
    wrong_shape.set_data_from_numpy(np.zeros(4, dtype=np.float32))
    calls = {
        "not found": lambda: client.infer("nobody", [tensor]),
        "has no version '9'": lambda: client.infer("tensors", [tensor], model_version="9"),
        "shape must be [-1,2], got [4]": lambda: client.infer("tensors", [wrong_shape]),
        "parameters.colour": lambda: client.infer("tensors", [tensor], parameters={"colour": "red"}),
        "sequences are not supported": lambda: client.infer("tensors", [tensor], sequence_id=5, sequence_start=True),
        "modelControl": lambda: client.load_model("tensors"),
        "the engine failed": lambda: client.infer("tensors", [tensor], parameters={"failWith": "error"}),
        # The gateway and the loader have the same deadline, and each its own words for it.
        "did not answer": lambda: client.infer("tensors", [tensor], parameters={"delayMs": 5000}, timeout=50_000),
    }
    for words, call in calls.items():
        try:
            call()
        except InferenceServerException as error:
            assert words in str(error), str(error)
        else:
            raise AssertionError(f"no error: {words}")


def json_both_ways():
    for name, array in TENSORS.items():
        output = triton.InferRequestedOutput(name, binary_data=False)
        result = client.infer("tensors", [infer_input(name, array, binary_data=False)], outputs=[output])
        assert same(result.as_numpy(name), array), name


def compression():
    for algorithm in ("gzip", "deflate"):
        inputs = [infer_input("fp32", TENSORS["fp32"]), infer_input("int64", TENSORS["int64"], binary_data=False)]
        result = client.infer("tensors", inputs, request_compression_algorithm=algorithm)
        assert same(result.as_numpy("fp32"), TENSORS["fp32"]) and same(result.as_numpy("int64"), TENSORS["int64"])


def typed_contents():
    from tritonclient.grpc import service_pb2, service_pb2_grpc
    import grpc

    stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(address))
    request = service_pb2.ModelInferRequest(model_name="tensors")
    for name, field, elements in (("int64", "int64_contents", [-(2**63)]), ("bytes", "bytes_contents", [b"\xff\x00"])):
        tensor = request.inputs.add(name=name, datatype=name.upper(), shape=[1])
        getattr(tensor.contents, field).extend(elements)
    response = stub.ModelInfer(request)
    assert list(response.raw_output_contents) == [b"\0" * 7 + b"\x80", b"\x02\0\0\0\xff\x00"]


def stream_with_errors():
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(6):
        model = "nobody" if number == 3 else "tensors"
        tensor = infer_input("int8", np.array([number], dtype=np.int8))
        client.async_stream_infer(model, [tensor], request_id=str(number), enable_empty_final_response=True)
    seen = set()
    for _ in range(6):
        result, error = answers.get(timeout=30)
        if error is not None:
            assert "not found" in str(error)
            continue
        response = result.get_response()
        assert result.as_numpy("int8").tolist() == [int(response.id)]
        assert response.parameters["triton_final_response"].bool_param
        seen.add(response.id)
    assert seen == set("01245")
    # Without ids nothing but their order tells answers apart.
    for number in range(6):
        tensor = infer_input("int8", np.array([number], dtype=np.int8))
        client.async_stream_infer("tensors", [tensor], parameters={"delayMs": 20 * (6 - number)})
    for number in range(6):
        result, error = answers.get(timeout=30)
        assert error is None and result.as_numpy("int8").tolist() == [number]
    client.stop_stream()


def sequences_side_by_side():
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    names = (7, "seven")
    for number in range(3):
        for name in names:
            text = triton.InferInput("data", [1], "BYTES")
            text.set_data_from_numpy(np.array([f"{name} {number}".encode()], dtype=np.object_))
            place = {"sequence_id": name, "sequence_start": number == 0, "sequence_end": number == 2}
            client.async_stream_infer("echo", [text], request_id=f"{name} {number}", **place)
    seen = {name: [] for name in names}
    for _ in range(6):
        result, error = answers.get(timeout=30)
        assert error is None, str(error)
        parameters = result.get_response().parameters
        name = parameters["sequence_id"].int64_param or parameters["sequence_id"].string_param
        assert result.as_numpy("data").tolist() == [result.get_response().id.encode()]
        seen[name].append(parameters["triton_final_response"].bool_param)
    assert seen == {name: [False, False, True] for name in names}, seen
    client.stop_stream()


CHECKS = [
    server_and_models,
    every_datatype,
    several_at_once_and_some_back,
    halves_and_no_numbers,
    no_elements,
    large_tensor,
    many_at_once,
    mistakes,
    *([json_both_ways, compression] if kind == "http" else [typed_contents, stream_with_errors, sequences_side_by_side]),
]
for check in CHECKS:
    check()
    print(check.__name__, flush=True)
