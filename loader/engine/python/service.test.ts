import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServingError } from "../../../proto/errors.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { partFromTensor } from "../../../proto/tensor.ts";
import { describeEngine } from "../engine.cases.ts";
import {
  ask,
  buildEngine,
  failureOf,
  never,
  requestOf,
  startEngine,
  stopEngines,
  untilNoted,
} from "./fixture-engine.ts";

afterEach(stopEngines);

const start = async (service: string, changes = {}) => startEngine("modern.py", { class: service, ...changes });

describeEngine("python", {
  create: () => buildEngine("modern.py", { class: "patient" }),
  quick: () => requestOf({ text: "x" }, { how: "answer" }),
  slow: () => requestOf({ text: "x" }, { how: "event" }),
});

describe("a service that is written for the module athena", () => {
  test("tells its definition: inputs, outputs, and parameters as JSON Schema", async () => {
    const { told } = await start("Greeter");
    expect(told).toMatchObject({ description: "Greets.", once: true, stream: false, maxBatchRows: 0 });
    expect(told.inputs).toMatchObject([{ name: "name", type: PartType.TEXT, required: true }]);
    expect(told.outputs).toMatchObject([
      { name: "result", type: PartType.TEXT, attributes: { encoding: "utf8", compress: "raw", format: "plain" } },
    ]);
    expect(JSON.parse(told.parametersSchema)).toEqual({
      type: "object",
      properties: { times: { type: "integer", default: 1 }, mark: { enum: [".", "!"], default: "." } },
      required: [],
    });
  });

  test("has one output for each field of what it returns, and may leave out what is optional", async () => {
    const { engine, told } = await start("measure");
    expect(told).toMatchObject({ description: "Looks at a picture." });
    expect(told.inputs).toMatchObject([
      { name: "picture", type: PartType.IMAGE, required: true },
      { name: "options", type: PartType.TEXT, required: true },
      { name: "sound", type: PartType.AUDIO, required: false },
    ]);
    expect(told.outputs).toMatchObject([
      { name: "picture", type: PartType.IMAGE, attributes: {} },
      { name: "words", type: PartType.TEXT, attributes: { format: "json" } },
      { name: "note", type: PartType.TEXT, attributes: { format: "plain" } },
    ]);
    const picture = { type: PartType.IMAGE, attributes: { encoding: "png" }, text: "ab" };
    const { parts } = await engine.infer(requestOf({ picture, options: '{"copies":2}' }), never);
    expect(parts).toMatchObject([
      { name: "picture", type: PartType.IMAGE, attributes: { encoding: "png", width: "3" }, data: Buffer.from("abab") },
      { name: "words", type: PartType.TEXT, data: Buffer.from('["a", "b"]') },
    ]);
    const sound = { type: PartType.AUDIO, text: "123" };
    const heard = await engine.infer(requestOf({ sound, picture, options: '{"copies":1}' }), never);
    expect(Buffer.from(heard.parts[2]?.data ?? []).toString()).toBe("heard 3 bytes");
  });

  test("may return a typed dictionary, and takes and gives tensors", async () => {
    const rate = (await start("rate")).engine;
    expect((await rate.infer(requestOf({ text: "abc" }), never)).parts).toMatchObject([{ name: "score" }]);
    expect((await rate.infer(requestOf({ text: "" }), never)).parts).toMatchObject([{ name: "text" }]);

    const { engine, told } = await start("add");
    expect(told.inputs[0]?.tensor).toMatchObject({ datatype: "INT32", shape: [-1n] });
    expect(told.inputs[1]?.tensor).toBeUndefined();
    const numbers = new Uint8Array(new Int32Array([1, 2, -5]).buffer);
    const names = new Uint8Array([1, 0, 0, 0, 97, 2, 0, 0, 0, 98, 99]);
    const request = requestOf({});
    request.parts.push(
      partFromTensor("numbers", { datatype: "INT32", shape: [3], data: numbers }),
      partFromTensor("names", { datatype: "BYTES", shape: [2], data: names }),
    );
    const { parts } = await engine.infer(request, never);
    expect(parts).toMatchObject([
      { name: "total", type: PartType.OTHER, attributes: { datatype: "INT32", shape: "[1]" } },
      { name: "names", attributes: { datatype: "BYTES", shape: "[2]" } },
    ]);
    expect(new Int32Array(Uint8Array.from(parts[0]?.data ?? []).buffer)).toEqual(new Int32Array([-2]));
    expect(parts[1]?.data).toEqual(new Uint8Array([1, 0, 0, 0, 65, 2, 0, 0, 0, 66, 67]));
  });

  test("gets its configuration, answers, and is closed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "athena-close-"));
    const config = { greeting: "good evening", log_file: join(folder, "log") };
    const { engine } = await start("Greeter", { config });
    expect(await ask(engine, requestOf({ name: "Straße" }, { times: "2", mark: "!" }))).toBe(
      "good evening Straße, good evening Straße!",
    );
    await engine.stop();
    expect(await Bun.file(config.log_file).text()).toBe("closed");
    await rm(folder, { recursive: true });
  });

  test("gets parameters as the types that it says, from the texts that gateways send", async () => {
    const { engine, told } = await start("parameters");
    const sent = { whole: "-3", part: "0.25", flag: "true", one_of: "two", maybe: "", many: "1;2", more: '{"a":[1]}' };
    expect(JSON.parse(await ask(engine, requestOf({}, sent)))).toEqual({
      whole: -3,
      part: 0.25,
      flag: true,
      one_of: "two",
      maybe: null,
      many: [1, 2],
      more: { a: [1] },
    });
    expect(JSON.parse(await ask(engine, requestOf({}, { whole: "1" })))).toEqual({
      whole: 1,
      part: 0.5,
      flag: false,
      one_of: 1,
      maybe: null,
      many: [],
      more: null,
    });
    expect(JSON.parse(told.parametersSchema)).toMatchObject({
      properties: { one_of: { enum: [1, "two"] }, many: { type: "array", items: { type: "integer" } } },
      required: ["whole"],
    });
  });

  for (const [name, text, message] of [
    ["whole", "1.5", "parameter whole must be an integer, got '1.5'"],
    ["whole", undefined, "parameter whole is required"],
    ["part", "nan", "parameter part must be a number, got 'nan'"],
    ["flag", "maybe", "parameter flag must be true or false, got 'maybe'"],
    ["one_of", "3", "parameter one_of must be one of 1, two, got '3'"],
    ["many", "1;x", "parameter many must be an integer, got 'x'"],
    ["more", "[1]", "parameter more must be an object, got '[1]'"],
  ] as const) {
    test(`is not called with ${name} = ${text}: the caller is told`, async () => {
      const { engine } = await start("parameters");
      const sent = { whole: "1", ...(text === undefined ? {} : { [name]: text }) };
      if (text === undefined) Reflect.deleteProperty(sent, name);
      expect(await failureOf(ask(engine, requestOf({}, sent)))).toMatchObject({ reason: "INVALID_INPUT", message });
    });
  }

  test("is not called with data that is not what it says: the caller is told", async () => {
    const measure = (await start("measure")).engine;
    const picture = { type: PartType.IMAGE };
    for (const [parts, message] of [
      [{ options: "{}" }, "payload.picture is required"],
      [{ picture, options: "{" }, /^payload.options is not JSON: /],
      [{ picture, options: "[]" }, "payload.options must be an object in JSON"],
    ] as const) {
      const error = await failureOf(measure.infer(requestOf(parts), never));
      expect(error.reason).toBe("INVALID_INPUT");
      expect(error.message).toMatch(message);
    }
    const greeter = (await start("Greeter")).engine;
    const name = { data: new Uint8Array([0xff]) };
    expect((await failureOf(ask(greeter, requestOf({ name })))).message).toBe("payload.name is not text in utf8");
    const gb = { data: new Uint8Array([0xc4, 0xe3]), attributes: { encoding: "gb2312" } };
    expect(await ask(greeter, requestOf({ name: gb }))).toBe("hello 你.");
    const add = (await start("add")).engine;
    const names = { data: new Uint8Array(0), attributes: { datatype: "BYTES", shape: "[0]" } };
    for (const [attributes, message] of [
      [{ datatype: "FP32" }, "payload.numbers: datatype must be INT32, got 'FP32'"],
      [{ shape: "[2,2]" }, "payload.numbers: shape must be [-1], got '[2,2]'"],
      [{ shape: "[3]" }, "payload.numbers: its data is not that of a INT32 tensor of the shape (3,)"],
    ] as const) {
      const numbers = { data: new Uint8Array(8), attributes };
      expect((await failureOf(add.infer(requestOf({ numbers, names }), never))).message).toBe(message);
    }
  });

  for (const [how, expected] of [
    ["own", { reason: "ENGINE_FAILED", engineCode: 42, message: "I do not like this" }],
    ["input", { reason: "INVALID_INPUT", message: "payload.text: too blue" }],
    ["exit", { reason: "ENGINE_FAILED", message: "SystemExit: 3" }],
    ["type", { reason: "ENGINE_FAILED", message: "TypeError: refuse: output 'result': a str was expected, got int" }],
    ["else", { reason: "ENGINE_FAILED", message: "ValueError: broken" }],
  ] as const) {
    test(`fails a request alone (${how}), in its own words`, async () => {
      const { engine } = await start("refuse");
      expect(await failureOf(ask(engine, requestOf({ text: "x" }, { how })))).toMatchObject(expected);
      expect(await failureOf(ask(engine, requestOf({ text: "x" }, { how: "own" })))).toMatchObject({ engineCode: 42 });
    });
  }

  test("is ended whatever it fails with", async () => {
    const { engine } = await start("awkward");
    for (const [how, message] of [
      ["surrogate", /^ValueError: \?x{4000}/],
      ["unspeakable", "Unspeakable: it cannot say why"],
      ["closed", "ValueError: nobody hears it"],
    ] as const) {
      const error = await failureOf(ask(engine, requestOf({ text: "x" }, { how })));
      expect(error.reason).toBe("ENGINE_FAILED");
      expect(error.message).toMatch(message);
      expect(error.message.length).toBeLessThan(5000);
    }
    expect(await ask(engine, requestOf({ text: "x" }, { how: "" }))).toBe("x");
  });

  test("is ended with its process when user code has closed the way to the loader", async () => {
    const { engine } = await start("awkward");
    const signal = AbortSignal.timeout(10_000);
    const error = await failureOf(ask(engine, requestOf({ text: "x" }, { how: "unplugged" }), signal));
    expect(error.reason).toBe("ENGINE_CRASHED");
  });

  test("that cannot be served says why at once, and names the argument", async () => {
    const failure = async (service?: string): Promise<string> =>
      (await failureOf(buildEngine("modern.py", { class: service }).start(never))).message;
    expect(await failure("nothing")).toBe("TypeError: nothing: what it returns needs a type");
    expect(await failure("never")).toBe("TypeError: never: it answers neither once-calls nor sessions");
    expect(await failure("Missing")).toBe("modern.py has no class Missing");
    expect(await failure("Measures")).toContain("neither decorated with athena.service nor a wrapper");
    expect(await failure()).toContain("modern.py has more than one service: the engine's key class says which of ");
    const failing = buildEngine("modern.py", { class: "Greeter", config: { fail: true } });
    expect((await failureOf(failing.start(never))).message).toBe("RuntimeError: no such model");
  });

  test("is found in its file without its name", async () => {
    const { engine } = await startEngine("echo_modern.py");
    const { parts } = await engine.infer(requestOf({ data: { type: PartType.OTHER, text: "x" } }), never);
    expect(parts).toMatchObject([{ name: "result", type: PartType.OTHER, data: Buffer.from("x") }]);
  });

  test("takes and gives megabytes as they are", async () => {
    const { engine } = await startEngine("echo_modern.py");
    for (const size of [65_535, 65_536, 262_144, 5_000_001]) {
      const data = new Uint8Array(size).map((_, index) => index * 7);
      const calls = Array.from({ length: 3 }, () => engine.infer(requestOf({ data: { data } }), never));
      for (const { parts } of await Promise.all(calls)) expect(Buffer.compare(parts[0]?.data ?? data, data)).toBe(0);
    }
  });
});

test("quick and slow calls beside each other are each answered, and cancelled ones harm nobody", async () => {
  const { engine } = await start("mixed", { threads: 16 });
  const processes = new Set<string>();
  const outcomes = { answered: 0, canceled: 0 };
  let begun = 0;
  const caller = async (): Promise<void> => {
    while (begun < 6000) {
      const number = ++begun;
      const signal = AbortSignal.timeout(20_000);
      const hangUp = new AbortController();
      const parameters = number % 100 === 0 ? { pause: "0.02" } : {};
      const call = ask(engine, requestOf({ text: `${number}` }, parameters), AbortSignal.any([signal, hangUp.signal]));
      if (number % 97 === 0) hangUp.abort(new ServingError("CANCELED", "hung up"));
      const answer = await call.catch((error: unknown) => ServingError.from(error).reason);
      if (answer === "CANCELED") outcomes.canceled += 1;
      else {
        const [text = "", pid = ""] = answer.split(" ");
        expect(text).toBe(`${number}`);
        processes.add(pid);
        outcomes.answered += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: 32 }, caller));
  expect(outcomes.answered + outcomes.canceled).toBe(6000);
  expect(outcomes.canceled).toBeLessThanOrEqual(61);
  expect(processes.size).toBe(1);
});

test("the worker is written in Python 3.8", () => {
  const code = [
    "import ast, pathlib, sys",
    "for path in sorted(pathlib.Path(sys.argv[1]).rglob('*.py')):",
    "    print(ast.parse(path.read_text(), str(path), feature_version=(3, 8)) and path.name)",
  ];
  const command = ["python3", "-c", code.join("\n"), join(import.meta.dir, "runtime")];
  const { exitCode, stdout } = Bun.spawnSync(command);
  expect(exitCode).toBe(0);
  expect(stdout.toString()).toContain("athena_worker.py");
});

describe("an asynchronous service", () => {
  test("computes as many calls at once as the engine has threads, on one loop", async () => {
    const { engine } = await start("gather", { threads: 8 });
    const asked = Array.from({ length: 8 }, (_, i) => ask(engine, requestOf({ text: "8" }, {}, `s${i}`)));
    expect((await Promise.all(asked)).map((answer) => JSON.parse(answer))).toEqual(
      asked.map((_, i) => ({ together: 8, sid: `s${i}` })),
    );
  });

  test("is closed on its loop", async () => {
    const { engine } = await start("Client");
    expect(await ask(engine, requestOf({ text: "x" }))).toBe("x");
    await engine.stop();
    expect(await untilNoted(1)).toEqual(["closed"]);
  });

  test("is cancelled when its caller hangs up", async () => {
    const { engine } = await start("gather");
    const caller = new AbortController();
    const call = failureOf(ask(engine, requestOf({ text: "2" }), caller.signal));
    await untilNoted(1);
    caller.abort(new ServingError("CANCELED", "hung up"));
    expect(await call).toMatchObject({ reason: "CANCELED" });
    expect(await untilNoted(2)).toEqual(["begun", "left"]);
    expect(JSON.parse(await ask(engine, requestOf({ text: "1" })))).toMatchObject({ together: 1 });
  });
});

describe("a call that nobody waits for any more", () => {
  // With one thread the next call is begun when the process has ended the one before, or is a new one.
  async function hangUp(how: string) {
    const { engine } = await start("patient", { threads: 1 });
    const pid = (await ask(engine, requestOf({ text: "" }, { how: "answer" }))).split(" ")[2];
    const caller = new AbortController();
    const call = failureOf(ask(engine, requestOf({ text: "" }, { how }, "doomed"), caller.signal));
    await untilNoted(2);
    caller.abort(new ServingError("CANCELED", "hung up"));
    expect(await call).toMatchObject({ reason: "CANCELED" });
    const noted = (await untilNoted(3)).slice(1);
    const answer = await ask(engine, requestOf({ text: "" }, { how: "answer" }, "next"));
    return { noted, isSameProcess: answer.split(" ")[2] === pid };
  }

  test("is told so by its context, and its process goes on", async () => {
    expect(await hangUp("event")).toMatchObject({ noted: ["begun doomed", "told"], isSameProcess: true });
  });

  test("is interrupted in the middle of its Python code, and its process goes on", async () => {
    expect(await hangUp("loop")).toMatchObject({ noted: ["begun doomed", "interrupted"], isSameProcess: true });
  });

  for (const [kind, noted] of [
    ["Wrapper", ["begun", "told"]],
    ["Silent", ["begun"]],
  ] as const) {
    test(`of a wrapper of the predecessor ends, and its process goes on (${kind})`, async () => {
      const { engine } = await startEngine("waiting.py", { class: kind, threads: 1 });
      const pid = await ask(engine, requestOf({ text: "" }));
      const caller = new AbortController();
      const call = failureOf(ask(engine, requestOf({ text: "" }, { wait: "yes" }), caller.signal));
      await untilNoted(1);
      caller.abort(new ServingError("CANCELED", "hung up"));
      expect(await call).toMatchObject({ reason: "CANCELED" });
      expect(await untilNoted(noted.length)).toEqual(noted);
      expect(await ask(engine, requestOf({ text: "" }))).toBe(pid);
    });
  }

  test("ends with its process when it does not stop", async () => {
    const { engine } = await start("patient");
    const caller = new AbortController();
    const call = failureOf(ask(engine, requestOf({ text: "" }, { how: "stubborn" }, "doomed"), caller.signal));
    await untilNoted(1);
    const neighbour = failureOf(ask(engine, requestOf({ text: "" }, { how: "event" }, "neighbour")));
    caller.abort(new ServingError("CANCELED", "hung up"));
    expect(await call).toMatchObject({ reason: "CANCELED" });
    expect(await neighbour).toMatchObject({ reason: "ENGINE_CRASHED" });
  });
});
