import { afterEach, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import type { ServingError } from "../../../../proto/errors.ts";
import type { InferRequest } from "../../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../../proto/gen/athena/v1/part_pb.ts";
import type { EngineInput } from "../../engine.ts";
import type { ParameterSchemas } from "../protocol.ts";
import { httpAnswer, never, requestOf, shown, startWireServer, textOf, type WireServer } from "../test-server.ts";
import { createOpenai, type OpenaiOptions } from "./chat.ts";

let server: WireServer | undefined;

afterEach(() => server?.stop());

const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";
const outputs = { result: PartType.TEXT, reasoning: PartType.TEXT, usage: PartType.TEXT };
const ask = (text: string, parameters: Record<string, string> = {}) =>
  requestOf([textOf("prompt", text)], outputs, parameters);
const delta = (content: string, rest: object = {}) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, ...rest }] })}\n\n`;
const stop = `data: ${JSON.stringify({ choices: [{ delta: {}, finish_reason: "stop" }] })}\n\n`;
const done = "data: [DONE]\n\n";

interface ChatOptions extends Partial<OpenaiOptions> {
  readonly parameters?: ParameterSchemas;
  readonly maxResponseBytes?: number;
  readonly idleTimeoutMs?: number;
}

async function chatOf(answer: (socket: Socket) => unknown, { parameters, ...options }: ChatOptions = {}) {
  server = await startWireServer((_, socket) => answer(socket));
  const chat = createOpenai({
    service: "served",
    declared: { parameters },
    url: `${server.url}/v1`,
    model: "parrot",
    headers: {},
    idleTimeoutMs: 200,
    maxResponseBytes: 100_000,
    systemPrompt: "",
    options: {},
    ...options,
  });
  async function* whole(request: InferRequest): AsyncGenerator<EngineInput> {
    yield { parts: request.parts, last: true };
  }
  const stream = (request: InferRequest, signal = never) =>
    chat.stream({ ...request, parts: [] }, whole(request), signal, undefined);
  const results = async (request: InferRequest): Promise<string[]> => {
    const seen: string[] = [];
    for await (const result of stream(request)) seen.push(shown(result));
    return seen;
  };
  const once = (request: InferRequest, signal = never) => chat.infer(request, signal, undefined);
  const errorOf = (request: InferRequest): Promise<ServingError> =>
    once(request).then(
      (result) => Promise.reject(new Error(`answered ${shown(result)}`)),
      (error) => error,
    );
  const sent = () => JSON.parse(server?.requests.at(-1)?.body ?? "null");
  return { server, chat, stream, results, once, errorOf, sent };
}

describe("an answer's events", () => {
  const text = "grüße, 世界 🙂";
  const wire = Buffer.from(
    `${head}: a comment\r\nretry: 5\r\n\r\n${delta("").replaceAll("\n", "\r\n")}` +
      // One event in two lines of data, with lines that end in every way.
      `event: x\rdata: {"choices":[{"delta":\rdata: {"content":"${text}"}}]}\r\r${stop.replaceAll("\n", "\r\n")}${done}`,
  );

  test("are read whatever ends their lines and wherever they are cut, in the middle of a letter too", async () => {
    for (const size of [1, 2, 3, 7, 1000]) {
      const { results } = await chatOf(async (socket) => {
        socket.setNoDelay(true);
        for (let at = 0; at < wire.length; at += size) {
          socket.write(wire.subarray(at, at + size));
          if (size < 100) await new Promise(setImmediate);
        }
        socket.end();
      });
      expect(await results(ask("x"))).toEqual([`BEGIN result=${text}`, "END result="]);
      server?.stop();
    }
  });

  test("become results at once, each before the next one is sent", async () => {
    const words = ["one", "two", "three"];
    let connection: Socket | undefined;
    const { stream } = await chatOf((socket) => {
      connection = socket;
      socket.write(`${head}${delta(words[0] ?? "")}`);
    });
    const seen: string[] = [];
    for await (const result of stream(ask("x"))) {
      seen.push(shown(result));
      const next = words[seen.length];
      if (next !== undefined) connection?.write(delta(next));
      else if (seen.length === words.length) connection?.end(`${stop}${done}`);
    }
    expect(seen).toEqual(["BEGIN result=one", "CONTINUE result=two", "CONTINUE result=three", "END result="]);
  });

  test("end with why the answer ended and what it cost, as a stream and at once", async () => {
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    const wire = `${head}${delta("a ")}${delta("b")}${stop}data: ${JSON.stringify({ choices: [], usage })}\n\n${done}`;
    const { stream, once } = await chatOf((socket) => socket.end(wire));
    const seen = await Array.fromAsync(stream(ask("x")));
    expect(seen.map(shown)).toEqual([
      "BEGIN result=a ",
      "CONTINUE result=b",
      `END result= usage=${JSON.stringify(usage)}`,
    ]);
    expect(seen.at(-1)?.parts.map(({ attributes }) => attributes)).toEqual([
      { finish_reason: "stop" },
      { format: "json" },
    ]);
    const whole = await once(ask("x"));
    expect(shown(whole)).toBe(`ONCE result=a b usage=${JSON.stringify(usage)}`);
    expect(whole.parts[0]?.attributes).toEqual({ finish_reason: "stop" });
  });

  test("bring what a model thinks as an output of its own, where the service has it", async () => {
    const thought = `data: ${JSON.stringify({ choices: [{ delta: { reasoning_content: "hm" } }] })}\n\n`;
    const { results } = await chatOf((socket) => socket.end(`${head}${thought}${delta("yes")}${done}`));
    expect(await results(ask("x"))).toEqual(["BEGIN reasoning=hm", "CONTINUE result=yes", "END result="]);
    const silent = requestOf([textOf("prompt", "x")], { result: PartType.TEXT });
    expect(await results(silent)).toEqual(["BEGIN result=yes", "END result="]);
  });

  test("may end without [DONE] when a reason was given, and not without either", async () => {
    const { results } = await chatOf((socket) => socket.end(`${head}${delta("a")}${stop}`));
    expect(await results(ask("x"))).toEqual(["BEGIN result=a", "END result="]);
    server?.stop();
    const { errorOf } = await chatOf((socket) => socket.end(`${head}${delta("a")}`));
    expect(await errorOf(ask("x"))).toMatchObject({ reason: "ENGINE_CRASHED" });
  });
});

describe("what goes wrong in an answer", () => {
  for (const [event, reason, words] of [
    [`{"error":{"message":"out of memory","code":"x"}}`, "ENGINE_FAILED", "failed: out of memory"],
    [`{"error":{"message":"too long","code":400}}`, "INVALID_INPUT", "refuses the input: too long"],
    [`{"object":"error","message":"as vLLM does","code":503}`, "SERVICE_BUSY", "is busy: as vLLM does"],
    [`{"error":"a text"}`, "ENGINE_FAILED", "failed: a text"],
    ["no json", "OUTPUT_UNEXPECTED", "an event is not JSON"],
    ["[]", "OUTPUT_UNEXPECTED", "an event is not an object"],
  ] as const) {
    test(`is told: ${event}`, async () => {
      // The last event is not closed by an empty line: some servers end the connection right behind an error.
      const { errorOf } = await chatOf((socket) => socket.end(`${head}${delta("a")}data: ${event}`));
      const error = await errorOf(ask("x"));
      expect(error.reason).toBe(reason);
      expect(error.message).toContain(words);
    });
  }

  test("before it begins has the status of the answer", async () => {
    const { errorOf } = await chatOf((socket) => socket.end(httpAnswer(400, `{"error":{"message":"no such role"}}`)));
    expect(await errorOf(ask("x"))).toMatchObject({
      reason: "INVALID_INPUT",
      message: "the model server of service 'served' refuses the input: no such role",
    });
  });

  test("is an answer that is no stream, an event without an end, or too much in all", async () => {
    const plain = httpAnswer(200, "{}", { "content-type": "application/json" });
    const endless = `${head}data: ${"x".repeat(5_000_000)}`;
    for (const [bytes, maxResponseBytes] of [
      [plain, 1000],
      [endless, 10_000_000],
      [`${head}${delta("x".repeat(2000))}`, 1000],
    ] as const) {
      const { errorOf } = await chatOf((socket) => socket.write(bytes), { maxResponseBytes, idleTimeoutMs: 30_000 });
      expect(await errorOf(ask("x"))).toMatchObject({ reason: "OUTPUT_UNEXPECTED" });
      await server?.untilClosed(1);
      server?.stop();
    }
  });

  test("is silence, before the first event and after one", async () => {
    for (const bytes of ["", head, `${head}${delta("a")}`]) {
      const { server, errorOf } = await chatOf((socket) => socket.write(bytes));
      expect(await errorOf(ask("x"))).toMatchObject({
        reason: "DEADLINE_EXCEEDED",
        message: "the model server of service 'served' sent nothing for 200 ms",
      });
      await server.untilClosed(1);
      server.stop();
    }
  });

  test("is not a reader who takes his time", async () => {
    const { stream } = await chatOf((socket) => socket.write(`${head}${delta("a")}${delta("b")}${stop}${done}`));
    const seen: string[] = [];
    for await (const result of stream(ask("x"))) {
      seen.push(shown(result));
      await Bun.sleep(250);
    }
    expect(seen).toHaveLength(3);
  });
});

describe("a caller that is gone", () => {
  test("closes the connection at once, and so does one who leaves the loop", async () => {
    const { server, stream } = await chatOf((socket) => socket.write(`${head}${delta("a")}`));
    const caller = new AbortController();
    const results = stream(ask("x"), caller.signal)[Symbol.asyncIterator]();
    expect((await results.next()).done).toBe(false);
    caller.abort("hung up");
    await expect(results.next()).rejects.toMatchObject({ cause: "hung up" });
    await server.untilClosed(1);
    for await (const _ of stream(ask("x"))) break;
    await server.untilClosed(2);
  });
});

describe("a request", () => {
  const answer = (socket: Socket) => socket.end(`${head}${done}`);
  const conversation = (messages: unknown) => requestOf([textOf("messages", JSON.stringify(messages))], outputs);

  test("carries parameters with their types, and what service.yaml adds", async () => {
    const options = { options: { top_k: 40, temperature: 0.1, model: "another" }, systemPrompt: "Be brief." };
    const { once, sent, server } = await chatOf(answer, options);
    await once(ask("hello", { temperature: "0.5", max_tokens: "7", stop: "a;b", response_format: '{"type":"text"}' }));
    expect(server.requests[0]?.path).toBe("/v1/chat/completions");
    expect(sent()).toEqual({
      model: "parrot",
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "hello" },
      ],
      top_k: 40,
      temperature: 0.5,
      max_tokens: 7,
      stop: ["a", "b"],
      response_format: { type: "text" },
    });
  });

  test("may be a conversation, with a system prompt of its own, a question behind it, and pictures as data", async () => {
    const { once, sent } = await chatOf(answer, { systemPrompt: "unused" });
    const url = "data:image/png;base64,AA==";
    const messages = [
      { role: "system", content: "Be kind." },
      { role: "user", content: [{ type: "image_url", image_url: { url } }] },
    ];
    await once({
      ...conversation(messages),
      parts: [...conversation(messages).parts, textOf("prompt", "What is it?")],
    });
    expect(sent().messages).toEqual([...messages, { role: "user", content: "What is it?" }]);
  });

  test("of a session is put together from its chunks", async () => {
    const { chat, sent } = await chatOf(answer);
    async function* chunks(): AsyncGenerator<EngineInput> {
      for (const text of ["what ", "is ", "it?"]) yield { parts: [textOf("prompt", text)], last: text === "it?" };
    }
    await Array.fromAsync(chat.stream(requestOf([], outputs), chunks(), never, undefined));
    expect(sent().messages).toEqual([{ role: "user", content: "what is it?" }]);
  });

  test("takes the parameters that service.yaml declares instead", async () => {
    const { once, errorOf, sent } = await chatOf(answer, { parameters: { top_k: { type: "integer" } } });
    await once(ask("x", { top_k: "40" }));
    expect(sent().top_k).toBe(40);
    expect((await errorOf(ask("x", { temperature: "1" }))).message).toBe("parameter.temperature: is not declared");
  });

  for (const [request, message] of [
    [requestOf([], outputs), "payload: one of 'messages' and 'prompt' is needed"],
    [requestOf([textOf("messages", "[")], outputs), "payload.messages: is not JSON"],
    [conversation({}), "payload.messages: must be an array of messages"],
    [conversation([]), "payload: one of 'messages' and 'prompt' is needed"],
    [conversation([{ content: "x" }]), "payload.messages[0].role: must be a text"],
    [conversation([null]), "payload.messages[0].role: must be a text"],
    [
      conversation([{ role: "user", content: [{ image_url: { url: "http://10.0.0.1/" } }] }]),
      "payload.messages[0].content[0].image_url.url: must be a data: URL",
    ],
    [
      conversation([{ role: "user", content: [{ type: "image_url", image_url: "file:///etc/passwd" }] }]),
      "payload.messages[0].content[0].image_url: must be a data: URL",
    ],
    [ask("x", { temperature: "warm" }), "parameter.temperature: must be of type number, got 'warm'"],
    [ask("x", { chat_template: "{{x}}" }), "parameter.chat_template: is not declared"],
  ] as const) {
    test(`is refused before it is sent: ${message}`, async () => {
      const { server, errorOf } = await chatOf(answer);
      expect(await errorOf(request)).toMatchObject({ reason: "INVALID_INPUT", message });
      expect(server.requests).toHaveLength(0);
    });
  }

  test("with text that is not UTF-8 is refused", async () => {
    const { errorOf } = await chatOf(answer);
    const request = requestOf([{ ...textOf("prompt", ""), data: new Uint8Array([255]) }], outputs);
    expect((await errorOf(request)).message).toBe("payload.prompt: is not UTF-8 text");
  });
});

describe("a probe", () => {
  const models = (...ids: string[]) => httpAnswer(200, JSON.stringify({ data: ids.map((id) => ({ id })) }));

  test("looks for the model in the server's list, by its name with and without 'latest'", async () => {
    for (const [ids, isThere] of [
      [["other", "parrot"], true],
      [["parrot:latest"], true],
      [["parrot:7b"], false],
      [[], false],
    ] as const) {
      const { chat, server } = await chatOf((socket) => socket.end(models(...ids)));
      const probe = chat.probe(never).then(
        () => true,
        (error) => error.message,
      );
      expect(await probe).toBe(isThere || "the model server of service 'served' has no model 'parrot'");
      expect(server.requests[0]?.path).toBe("/v1/models");
      server.stop();
    }
  });

  test("asks another path of the server when it is told one", async () => {
    const { chat, server } = await chatOf((socket) => socket.end(httpAnswer(200, "")), { healthPath: "/health" });
    await chat.probe(never);
    expect(server.requests[0]?.path).toBe("/health");
  });
});
