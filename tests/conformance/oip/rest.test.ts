import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { bytesFromElements, elementBytes } from "../../../proto/tensor.ts";
import { type Answer, ask, binaryRequest, type Cluster, startCluster } from "./cluster.ts";

let cluster: Cluster;
let url: string;

beforeAll(async () => {
  cluster = await startCluster(["tensors", "halves", "echo"], { limits: { maxBodyBytes: 1_000_000 } });
  url = cluster.url;
});

afterAll(async () => {
  await cluster.stop();
});

const infer = (model: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  ask(`${url}/v2/models/${model}/infer`, {
    method: "POST",
    headers,
    body: body instanceof Uint8Array ? new Uint8Array(body) : typeof body === "string" ? body : JSON.stringify(body),
  });
const tensor = (name: string, shape: number[], data: unknown) => ({ name, datatype: name.toUpperCase(), shape, data });
const fp32 = tensor("fp32", [2, 2], [1, 2.5, -3, 0]);

describe("the server", () => {
  test("is live and ready, and says who it is and which extensions work, with a slash at the end or without", async () => {
    for (const slash of ["", "/"]) {
      expect((await ask(`${url}/v2/health/live${slash}`)).body).toEqual({ live: true });
      expect((await ask(`${url}/v2/health/ready${slash}`)).body).toEqual({ ready: true, live: true });
      const { status, body } = await ask(`${url}/v2${slash}`);
      expect(status).toBe(200);
      expect(body).toEqual({
        name: "athena-serving",
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
        extensions: ["binary_tensor_data", "model_configuration", "parameters", "schedule_policy", "statistics"],
      });
    }
  });

  test("lists its models", async () => {
    expect((await ask(`${url}/v2/models`)).body).toEqual({ models: ["tensors", "halves", "echo"] });
    const entry = { name: "echo", version: "v1", state: "READY", reason: "" };
    const index = await ask(`${url}/v2/repository/index`, { method: "POST", body: '{"ready":true}' });
    expect(Object.values(index.body)).toContainEqual(entry);
    for (const path of ["/v2/repository/index", "/v2/repository/some/index"]) {
      expect((await ask(url + path, { method: "POST" })).body).toEqual(index.body);
    }
    expect((await ask(`${url}/v2/repository/index`, { method: "POST", body: "[" })).status).toBe(400);
  });

  test("answers a wrong verb with 405, an unknown page with 404, and what it does not do with 501", async () => {
    const statusOf = async (path: string, method: string) => {
      const { status, body, headers } = await ask(url + path, { method });
      expect(body.error).toBeString();
      return [status, headers.get("allow")];
    };
    expect(await statusOf("/v2/models/echo/infer", "GET")).toEqual([405, "POST"]);
    expect(await statusOf("/v2", "POST")).toEqual([405, "GET"]);
    expect(await statusOf("/v2/models/echo/nothing", "GET")).toEqual([404, null]);
    expect(await statusOf("/v2/repository/models/echo/load", "POST")).toEqual([501, null]);
    expect(await statusOf("/v2/systemsharedmemory/status", "GET")).toEqual([501, null]);
    expect(await statusOf("/v2/logging", "POST")).toEqual([501, null]);
  });
});

describe("a model", () => {
  test("tells its metadata, its configuration and that it is ready, in any version that is served", async () => {
    for (const path of ["/v2/models/echo", "/v2/models/echo/versions/v1"]) {
      expect((await ask(url + path)).body).toEqual({
        name: "echo",
        versions: ["v1"],
        platform: "echo",
        inputs: [{ name: "data", datatype: "BYTES", shape: [1] }],
        outputs: [{ name: "data", datatype: "BYTES", shape: [1] }],
      });
      expect((await ask(`${url + path}/ready`)).body).toEqual({ name: "echo", ready: true });
      expect((await ask(`${url + path}/config`)).body).toMatchObject({
        name: "echo",
        max_batch_size: 0,
        input: [{ name: "data", data_type: "TYPE_STRING", dims: [1] }],
      });
    }
  });

  test("that is unknown, or of an unknown version, is 404 with a message", async () => {
    for (const page of ["", "/ready", "/config", "/stats"]) {
      expect(await ask(`${url}/v2/models/nobody${page}`)).toMatchObject({
        status: 404,
        body: { error: "model 'nobody' not found" },
      });
      const version = await ask(`${url}/v2/models/echo/versions/9${page}`);
      expect(version).toMatchObject({ status: 404, body: { error: "model 'echo' has no version '9'" } });
    }
    expect((await infer("nobody", {})).status).toBe(404);
    expect((await infer("tensors/versions/9", { inputs: [fp32] })).status).toBe(404);
  });
});

describe("inference with JSON", () => {
  test("gives back tensors, flat or nested, with the request's id, of any version that is served", async () => {
    const expected = {
      model_name: "tensors",
      model_version: "1",
      id: "my id",
      outputs: [{ name: "fp32", datatype: "FP32", shape: [2, 2], data: [1, 2.5, -3, 0] }],
    };
    const nested = {
      ...fp32,
      data: [
        [1, 2.5],
        [-3, 0],
      ],
    };
    expect((await infer("tensors", { id: "my id", inputs: [fp32] })).body).toEqual(expected);
    expect((await infer("tensors/versions/1", { id: "my id", inputs: [nested] })).body).toEqual(expected);
    const { id: _, ...withoutId } = expected;
    const answer = await infer("tensors", { inputs: [nested] });
    expect(answer.body).toEqual(withoutId);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(answer.headers.get("athena-sid")).toHaveLength(32);
  });

  const elements: readonly (readonly [string, string])[] = [
    ["bool", "[true,false]"],
    ["int8", "[-128,127]"],
    ["int16", "[-32768,32767]"],
    ["int32", "[-2147483648,2147483647]"],
    ["int64", "[-9223372036854775808,9223372036854775807,9007199254740993]"],
    ["uint8", "[0,255]"],
    ["uint16", "[0,65535]"],
    ["uint32", "[0,4294967295]"],
    ["uint64", "[0,18446744073709551615]"],
    ["fp64", "[1.7976931348623157e+308,5e-324,-0.0]"],
    ["bytes", '["","a\\u0000b","héllo"]'],
  ];
  test.each(elements)("keeps every element of %s exactly: %s", async (name, data) => {
    const count = data.split(",").length;
    const input = `{"name":"${name}","datatype":"${name.toUpperCase()}","shape":[${count}],"data":${data}}`;
    const { text } = await infer("tensors", `{"inputs":[${input}]}`);
    expect(text).toContain(`"data":${data}}`);
  });

  test("takes tensors of no elements", async () => {
    const { body } = await infer("tensors", { inputs: [tensor("int64", [0], []), tensor("bytes", [0], [])] });
    expect(body.outputs).toMatchObject([{ data: [] }, { data: [] }]);
    expect((await infer("tensors", { inputs: [tensor("fp32", [0, 2], [])] })).body.outputs).toMatchObject([
      { shape: [0, 2] },
    ]);
  });

  test("answers with the outputs that are asked for, in that order", async () => {
    const inputs = [fp32, tensor("int8", [1], [5]), tensor("bool", [1], [true])];
    const { body } = await infer("tensors", { inputs, outputs: [{ name: "bool" }, { name: "fp32" }] });
    expect(body.outputs?.map(({ name }) => name)).toEqual(["bool", "fp32"]);
    expect((await infer("tensors", { inputs, outputs: [] })).body.outputs).toHaveLength(3);
  });

  test("reads and writes data that is no tensor as one element of BYTES, its attributes as parameters", async () => {
    const data = { name: "data", datatype: "BYTES", shape: [1], data: ["hello"], parameters: { encoding: "utf8" } };
    const output = { name: "data", parameters: { format: "json" } };
    expect((await infer("echo", { inputs: [data], outputs: [output] })).body.outputs).toEqual([
      {
        name: "data",
        datatype: "BYTES",
        shape: [1],
        parameters: { encoding: "utf8", compress: "raw", format: "json" },
        data: ["hello"],
      },
    ]);
  });
});

describe("binary data", () => {
  const post = (model: string, request: RequestInit) => ask(`${url}/v2/models/${model}/infer`, request);

  test.each(Object.entries(elementBytes))("of %s comes back bit by bit, elements and none", async (datatype, size) => {
    const model = datatype.endsWith("16") && !datatype.includes("INT") ? "halves" : "tensors";
    const name = datatype.toLowerCase();
    const bytes =
      size === 0
        ? bytesFromElements([new Uint8Array([0, 255, 254]), new Uint8Array()])
        : new Uint8Array(2 * size).fill(0xff);
    const shapeOf = (count: number) => (name === "fp32" ? [count / 2, 2] : [count]);
    const { headers, body, binary } = await post(model, binaryRequest([{ name, datatype, shape: shapeOf(2), bytes }]));
    expect(headers.get("content-type")).toBe("application/octet-stream");
    expect(body.outputs).toEqual([
      { name, datatype, shape: shapeOf(2), parameters: { binary_data_size: bytes.length } },
    ]);
    expect(binary).toEqual(bytes);
    const none = await post(model, binaryRequest([{ name, datatype, shape: shapeOf(0), bytes: new Uint8Array() }]));
    expect(none.body.outputs).toMatchObject([{ shape: shapeOf(0), parameters: { binary_data_size: 0 } }]);
  });

  test("may stand beside JSON both ways, each output as it was asked for", async () => {
    const json = {
      inputs: [{ ...fp32, data: undefined, parameters: { binary_data_size: 16 } }, tensor("int8", [1], [5])],
    };
    const text = Buffer.from(
      JSON.stringify({ ...json, outputs: [{ name: "int8", parameters: { binary_data: true } }, { name: "fp32" }] }),
    );
    const floats = Buffer.from(new Float32Array([1, 2, 3, 4]).buffer);
    const headers = { "inference-header-content-length": String(text.length) };
    const { body, binary } = await infer("tensors", Buffer.concat([text, floats]), headers);
    expect(body.outputs).toMatchObject([
      { name: "int8", parameters: { binary_data_size: 1 } },
      { name: "fp32", data: [1, 2, 3, 4] },
    ]);
    expect(binary).toEqual(new Uint8Array([5]));
  });

  test("may be the whole body of a request to a service with one input, in chunks as well", async () => {
    const headers = { "inference-header-content-length": "0" };
    const raw = await infer("echo", "as it is", headers);
    expect(raw.body.outputs).toMatchObject([{ name: "data", datatype: "BYTES", parameters: { binary_data_size: 12 } }]);
    expect(raw.binary).toEqual(bytesFromElements([Buffer.from("as it is")]));
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of ["in ", "pieces"]) controller.enqueue(Buffer.from(piece));
        controller.close();
      },
    });
    const chunked = await post("echo", { method: "POST", body, headers });
    expect(chunked.binary).toEqual(bytesFromElements([Buffer.from("in pieces")]));
    expect((await infer("tensors", "no", headers)).body.error).toContain("raw data is for services with one input");
  });

  test("is the only form of 16-bit floats, and of what is no number", async () => {
    expect((await infer("halves", { inputs: [tensor("fp16", [1], [1])] })).body.error).toContain("binary data only");
    const bytes = new Uint8Array(new Float32Array([Number.NaN, 1]).buffer);
    const asJson = await post("tensors", binaryRequest([{ name: "fp32", datatype: "FP32", shape: [1, 2], bytes }], {}));
    expect([asJson.status, asJson.body.error]).toEqual([
      400,
      expect.stringContaining("ask for it with the parameter binary_data"),
    ]);
    expect((await infer("tensors", '{"inputs":[{"name":"fp64","data":[NaN]}]}')).body.error).toContain(
      "binary data only",
    );
  });

  test("comes back through the largest body that is taken, and a byte more is refused", async () => {
    const room =
      1_000_000 -
      Buffer.from(binaryRequest([{ name: "uint8", datatype: "UINT8", shape: [999_000], bytes: new Uint8Array() }]).body)
        .length;
    // The JSON says how long the data is, in as many digits here as there.
    const size = room - 5;
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const data = Buffer.alloc(size, bytes);
    const request = binaryRequest([{ name: "uint8", datatype: "UINT8", shape: [size], bytes: data }]);
    expect(request.body.length).toBe(1_000_000);
    expect((await post("tensors", request)).binary).toEqual(new Uint8Array(data));
    const more = binaryRequest([
      { name: "uint8", datatype: "UINT8", shape: [size + 1], bytes: Buffer.alloc(size + 1) },
    ]);
    expect((await post("tensors", more)).status).toBe(413);
  });
});

describe("a compressed request", () => {
  const request = JSON.stringify({ inputs: [fp32] });

  test("of gzip or deflate is answered as any other", async () => {
    expect((await infer("tensors", gzipSync(request), { "content-encoding": "gzip" })).body.outputs).toHaveLength(1);
    expect((await infer("tensors", deflateSync(request), { "content-encoding": "deflate" })).body.outputs).toHaveLength(
      1,
    );
    const { body, headers } = binaryRequest([
      { name: "int8", datatype: "INT8", shape: [2], bytes: new Uint8Array([1, 2]) },
    ]);
    expect((await infer("tensors", gzipSync(body), { ...headers, "content-encoding": "gzip" })).binary).toEqual(
      new Uint8Array([1, 2]),
    );
  });

  test("of another kind is 415 and says which are taken; one that unpacks to too much is 413", async () => {
    const other = await infer("tensors", request, { "content-encoding": "br" });
    expect([other.status, other.headers.get("accept-encoding")]).toEqual([415, "gzip, deflate"]);
    expect((await infer("tensors", gzipSync(Buffer.alloc(2_000_000)), { "content-encoding": "gzip" })).status).toBe(
      413,
    );
    expect((await infer("tensors", request, { "content-encoding": "gzip" })).status).toBe(400);
  });
});

describe("a mistake", () => {
  const mistakes: readonly (readonly [string, unknown, string])[] = [
    ["broken JSON", '{"inputs":', "line 1, column 11"],
    ["an empty body", "", "has no JSON"],
    ["an unknown input", { inputs: [{ ...fp32, name: "z" }] }, "inputs.z"],
    ["an input that stands twice", { inputs: [fp32, fp32] }, "inputs.fp32: stands twice"],
    ["an unknown output", { inputs: [fp32], outputs: [{ name: "z" }] }, "outputs.z"],
    [
      "another datatype",
      { inputs: [{ ...fp32, datatype: "INT8", data: [1, 2, 3, 4] }] },
      "inputs.fp32: datatype must be FP32",
    ],
    ["another rank", { inputs: [{ ...fp32, shape: [4] }] }, "inputs.fp32: shape must be [-1,2], got [4]"],
    ["too few elements", { inputs: [{ ...fp32, data: [1] }] }, "inputs.fp32.data: 4 elements expected"],
    ["an unknown parameter", { inputs: [fp32], parameters: { colour: 1 } }, "parameters.colour"],
  ];
  test.each(mistakes)("(%s) is 400 and names the field", async (_, request, message) => {
    expect(await infer("tensors", request)).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining(message) },
    });
  });

  test.each(["-1", "3.5", "abc", "999999"])("(a header length of %s) is 400", async (length) => {
    const answer = await infer("tensors", "{}", { "inference-header-content-length": length });
    expect(answer).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining("Inference-Header-Content-Length") },
    });
  });

  test("of a required input is told; a sequence is not supported", async () => {
    expect(await infer("echo", { inputs: [] })).toMatchObject({
      status: 400,
      body: { error: "inputs.data: is required" },
    });
    const sequence = await infer("tensors", { inputs: [fp32], parameters: { sequence_id: 5, sequence_start: true } });
    expect(sequence).toMatchObject({ status: 501, body: { error: expect.stringContaining("sequences") } });
  });

  test("of the engine, or a deadline that passes, is told with its own status", async () => {
    const after = (parameters: object) => infer("tensors", { inputs: [fp32], parameters });
    expect((await after({ failWith: "refusal" })).status).toBe(400);
    expect((await after({ failWith: "error" })).status).toBe(500);
    expect((await after({ delayMs: 10_000, timeout: 50_000 })).status).toBe(504);
  });

  test("in any bytes never ends in a status of ours, and never ends the gateway", async () => {
    const statusOf = async (body: Uint8Array, headers: Readonly<Record<string, string>>) => {
      const { status, body: answer } = await infer("tensors", body, headers);
      if (status !== 200) expect(answer.error).toBeString();
      expect(status === 200 || (status >= 400 && status < 500) || status === 501).toBe(true);
    };
    const valid = binaryRequest([{ name: "int8", datatype: "INT8", shape: [4], bytes: new Uint8Array(4) }]).body;
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      // A good request of which some bytes were changed.
      fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 3 }).map((changes) => {
        const copy = new Uint8Array(valid);
        for (const [at, value] of changes) copy[at] = value;
        return copy;
      }),
    );
    const length = fc.oneof(fc.nat(250).map(String), fc.constant(String(valid.length - 4)));
    const encoding = fc.constantFrom({}, {}, {}, { "content-encoding": "gzip" }, { "content-encoding": "deflate" });
    await fc.assert(
      fc.asyncProperty(bytes, fc.option(length), encoding, (body, header, rest) =>
        statusOf(body, { ...rest, ...(header === null ? {} : { "inference-header-content-length": header }) }),
      ),
      { numRuns: 300 },
    );
    expect((await infer("tensors", { inputs: [fp32] })).status).toBe(200);
  });
});

describe("statistics", () => {
  const statsOf = async (): Promise<Record<string, never>> => {
    const { body } = await ask(`${url}/v2/models/tensors/versions/1/stats`);
    // The shape is checked by what the test reads from it.
    return (body as Answer & { model_stats: Record<string, never>[] }).model_stats[0] ?? {};
  };

  test("count successes, failures and times of each model", async () => {
    const before = JSON.parse(JSON.stringify(await statsOf()));
    for (let n = 0; n < 3; n++) await infer("tensors", { inputs: [fp32], parameters: { delayMs: 20 } });
    await infer("tensors", { inputs: [fp32], parameters: { failWith: "error" } });
    // Refused before it reached the model.
    await infer("tensors", { inputs: [], outputs: [{ name: "z" }] });
    const after = JSON.parse(JSON.stringify(await statsOf()));
    expect(after.execution_count - before.execution_count).toBe(3);
    expect(after.inference_count - before.inference_count).toBe(3);
    const delta = (name: string, member: string) =>
      after.inference_stats[name][member] - before.inference_stats[name][member];
    expect([delta("success", "count"), delta("fail", "count"), delta("queue", "count")]).toEqual([3, 1, 3]);
    expect(delta("compute_infer", "ns")).toBeGreaterThan(50e6);
    expect(delta("success", "ns")).toBeGreaterThan(delta("compute_infer", "ns"));
    expect(Date.now() - after.last_inference).toBeLessThan(60_000);
    const { body } = await ask(`${url}/v2/models/stats`);
    expect(JSON.stringify(body)).toContain('"name":"halves"');
  });
});
