"""Loads and unloads a model through a gateway with Triton's own clients, as an operator would.

usage: oip_repository.py http|grpc ADDRESS OPERATORS_KEY CALLERS_KEY
Prints the name of each check that passed; the first that fails ends it with its traceback.
"""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

kind, address, operator, caller = sys.argv[1:]
triton = tritonclient.http if kind == "http" else tritonclient.grpc
client = triton.InferenceServerClient(address)
as_operator = {"authorization": "Bearer " + operator}
as_caller = {"authorization": "Bearer " + caller}


def infer():
    array = np.array([1, 2], dtype=np.int32)
    tensor = triton.InferInput("int32", [2], "INT32")
    tensor.set_data_from_numpy(array)
    result = client.infer("tensors", [tensor], headers=as_caller)
    assert list(result.as_numpy("int32")) == [1, 2]


def refused(act, *words):
    try:
        act()
    except InferenceServerException as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError("it was not refused")


def states():
    index = client.get_model_repository_index(headers=as_operator)
    if kind == "http":
        return {entry["name"]: entry["state"] for entry in index}
    return {entry.name: entry.state for entry in index.models}


def load_makes_it_callable_at_once():
    client.load_model("tensors", headers=as_operator)
    assert client.is_model_ready("tensors", headers=as_caller)
    assert states()["tensors"] == "READY"
    infer()


def load_anew_while_it_serves():
    client.load_model("tensors", headers=as_operator)
    infer()


def what_cannot_be_done_is_named():
    refused(lambda: client.load_model("tensors", headers=as_caller), "may not load and unload")
    refused(lambda: client.unload_model("tensors", headers=as_caller), "may not load and unload")
    refused(lambda: client.load_model("nobody", headers=as_operator), "nobody", "not found")
    refused(lambda: client.load_model("tensors", headers=as_operator, config="{}"), "parameters.config")
    refused(lambda: client.load_model("broken", headers=as_operator), "definition has mistakes")
    infer()


def unload_takes_it_out_at_once():
    client.unload_model("tensors", headers=as_operator)
    assert not client.is_model_ready("tensors", headers=as_caller)
    assert states()["tensors"] == "UNAVAILABLE"
    refused(infer, "tensors")
    refused(lambda: client.unload_model("tensors", headers=as_operator), "is not loaded")


for check in (
    load_makes_it_callable_at_once,
    load_anew_while_it_serves,
    what_cannot_be_done_is_named,
    unload_takes_it_out_at_once,
):
    check()
    print(check.__name__)
