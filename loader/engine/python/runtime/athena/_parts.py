"""Data with its type and its attributes."""

import json
import struct


class Part:
    """Data of a request or an answer. Attributes are texts, such as `encoding="png"`."""

    def __init__(self, data, **attributes):
        self.data = data
        self.attributes = {name: str(value) for name, value in attributes.items()}

    def __repr__(self):
        return "%s(<%d bytes>, **%r)" % (type(self).__name__, len(self.data), self.attributes)


class Text(Part):
    """A text with attributes; `data` are its bytes in UTF-8."""

    def __init__(self, data, **attributes):
        super().__init__(data.encode("utf-8") if isinstance(data, str) else data, **attributes)

    @property
    def text(self):
        return self.data.decode("utf-8")


class Audio(Part):
    pass


class Image(Part):
    pass


class Video(Part):
    pass


class Other(Part):
    pass


# The Open Inference Protocol's datatypes: the bytes of an element, and numpy's name where it has one.
DATATYPES = {
    "BOOL": (1, "bool"),
    "INT8": (1, "int8"),
    "INT16": (2, "<i2"),
    "INT32": (4, "<i4"),
    "INT64": (8, "<i8"),
    "UINT8": (1, "uint8"),
    "UINT16": (2, "<u2"),
    "UINT32": (4, "<u4"),
    "UINT64": (8, "<u8"),
    "FP16": (2, "<f2"),
    "BF16": (2, None),
    "FP32": (4, "<f4"),
    "FP64": (8, "<f8"),
    "BYTES": (None, None),
}


class Tensor(Part):
    """
    Row-major elements, little-endian; an element of BYTES is its length as an unsigned 32-bit number, then its bytes.
    `Tensor["FP32", -1, 3]` as an annotation says what it must be; -1 is any size.
    """

    def __init__(self, data, datatype, shape, **attributes):
        self.datatype = datatype
        self.shape = tuple(shape)
        super().__init__(data, **{**attributes, "datatype": datatype, "shape": json.dumps(list(self.shape))})

    def __class_getitem__(cls, kind):
        datatype, *shape = kind if isinstance(kind, tuple) else (kind,)
        if datatype not in DATATYPES or not all(isinstance(size, int) for size in shape):
            raise TypeError("athena.Tensor[...] takes a datatype, such as 'FP32', and sizes, got %r" % (kind,))
        return TensorKind(datatype, tuple(shape))

    def elements(self):
        """The elements of a BYTES tensor."""
        found = []
        at = 0
        while at < len(self.data):
            (size,) = struct.unpack_from("<I", self.data, at)
            found.append(bytes(self.data[at + 4 : at + 4 + size]))
            at += 4 + size
        return found

    @classmethod
    def from_elements(cls, elements, shape=None):
        """The BYTES tensor of these elements, in one dimension unless told."""
        data = b"".join(struct.pack("<I", len(element)) + element for element in elements)
        return cls(data, "BYTES", (len(elements),) if shape is None else shape)

    def numpy(self):
        """The tensor as a numpy array that shares its data; BYTES as an array of objects."""
        import numpy

        if self.datatype == "BYTES":
            array = numpy.empty(len(self.elements()), dtype=object)
            array[:] = self.elements()
            return array.reshape(self.shape)
        name = DATATYPES[self.datatype][1]
        if name is None:
            raise TypeError("numpy has no type for %s" % self.datatype)
        return numpy.frombuffer(self.data, dtype=name).reshape(self.shape)

    @classmethod
    def from_numpy(cls, array):
        """The tensor of a numpy array; an array of objects becomes BYTES."""
        import numpy

        if array.dtype == object:
            return cls.from_elements([bytes(element) for element in array.ravel()], array.shape)
        for datatype, (_, name) in DATATYPES.items():
            if name is not None and array.dtype.newbyteorder("<") == numpy.dtype(name):
                return cls(numpy.ascontiguousarray(array, dtype=name).tobytes(), datatype, array.shape)
        raise TypeError("no datatype of the protocol is numpy's %s" % array.dtype)


class TensorKind:
    """What a tensor must be; -1 in the shape is any size. Callable, since annotations have to be."""

    def __init__(self, datatype, shape):
        self.datatype = datatype
        self.shape = shape

    def __call__(self):
        raise TypeError("an annotation is not called")
