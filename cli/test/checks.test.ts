import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  InferenceService,
  InferResponseSchema,
  type InferStreamRequest,
  Status,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";
import type { LoaderApi } from "../loader-api.ts";
import { testValuesFrom } from "../test-values.ts";
import { type Check, checkOnce, checkStream } from "./checks.ts";

const utf8 = new TextEncoder();
const definition = create(ServiceDefinitionSchema, {
  id: "s",
  inputs: [{ name: "in", type: PartType.TEXT, required: true, example: utf8.encode("hi") }],
  outputs: [
    { name: "out", type: PartType.TEXT },
    { name: "tensor", type: PartType.OTHER, tensor: { datatype: "FP32", shape: [1n] } },
  ],
});
const values = testValuesFrom(definition);

type Answer = MessageInitShape<typeof InferResponseSchema>;
const text = (data: string, name = "out", type = PartType.TEXT) => ({ name, type, data: utf8.encode(data) });

/** A loader that gives these answers, through Connect's own client and handlers. */
function loaderWith(...answers: readonly (Answer | ConnectError)[]) {
  const seen: InferStreamRequest[] = [];
  const give = (answer: Answer | ConnectError | undefined) => {
    if (answer instanceof ConnectError) throw answer;
    return create(InferResponseSchema, answer);
  };
  const transport = createRouterTransport(({ service }) => {
    service(InferenceService, {
      infer: () => give(answers[0]),
      async *inferStream(messages) {
        for await (const message of messages) seen.push(message);
        for (const answer of answers) yield { response: give(answer) };
      },
    });
  });
  const api: Pick<LoaderApi, "inference"> = { inference: createClient(InferenceService, transport) };
  return { api, seen };
}

const failuresOf = (checks: readonly Check[]) =>
  checks.filter(({ isPassed }) => !isPassed).map(({ name, detail }) => `${name}: ${detail}`);
const once = (answer: Answer | ConnectError) => checkOnce(loaderWith(answer).api, definition, values, () => []);
const stream = (...answers: readonly (Answer | ConnectError)[]) =>
  checkStream(loaderWith(...answers).api, definition, values);

describe("checkOnce()", () => {
  test("passes an answer that is as it should be", async () => {
    const checks = await once({ status: Status.ONCE, parts: [text("hello")] });
    expect(failuresOf(checks)).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual([
      "answers",
      "has outputs",
      "has each output once",
      "outputs are as declared",
      "every output has data",
      "status is 3",
    ]);
  });

  const broken: readonly (readonly [string, Answer | ConnectError, string])[] = [
    ["an error", new ConnectError("no", Code.Internal), "answers: Internal: no"],
    ["no outputs", { status: Status.ONCE, parts: [] }, "has outputs: "],
    ["an output twice", { status: Status.ONCE, parts: [text("a"), text("b")] }, "has each output once: out"],
    ["an empty output", { status: Status.ONCE, parts: [text("")] }, "every output has data: 'out' is empty"],
    [
      "an output that is not declared",
      { status: Status.ONCE, parts: [text("a", "other")] },
      "outputs are as declared: 'other' is not declared",
    ],
    [
      "an output of another type",
      { status: Status.ONCE, parts: [text("a", "out", PartType.IMAGE)] },
      "outputs are as declared: 'out' is image, declared as text",
    ],
    [
      "a tensor that is none",
      { status: Status.ONCE, parts: [text("abc", "tensor", PartType.OTHER)] },
      "outputs are as declared: 'tensor': payload.tensor: 4 bytes expected for its shape, got 3",
    ],
    ["another status", { status: Status.END, parts: [text("a")] }, "status is 3: it is END"],
  ];
  for (const [what, answer, failure] of broken) {
    test(`finds ${what}`, async () => {
      expect(failuresOf(await once(answer))).toEqual([failure]);
    });
  }

  test("finds JSON that is none", async () => {
    const part = { ...text("{"), attributes: { format: "json" } };
    expect(failuresOf(await once({ status: Status.ONCE, parts: [part] })).join()).toContain(
      "outputs are as declared: 'out': JSON",
    );
  });
});

describe("checkStream()", () => {
  test("sends one chunk that is the last, and passes results of which the last says so", async () => {
    const { api, seen } = loaderWith({ status: Status.BEGIN, parts: [text("a")] }, { status: Status.END, parts: [] });
    expect(failuresOf(await checkStream(api, definition, values))).toEqual([]);
    expect(seen.map(({ message }) => message.case)).toEqual(["open", "input"]);
    expect(seen[1]?.message.value).toMatchObject({ sequence: 2, parts: [{ name: "in", attributes: { status: "2" } }] });
  });

  const broken: readonly (readonly [string, readonly (Answer | ConnectError)[], string])[] = [
    ["no results", [], "has a result: ,a result has data: none has,the last status is 2 or 3: it is UNSPECIFIED"],
    ["results without data", [{ status: Status.END, parts: [text("")] }], "a result has data: none has"],
    [
      "an end that is none",
      [{ status: Status.CONTINUE, parts: [text("a")] }],
      "the last status is 2 or 3: it is CONTINUE",
    ],
    [
      "one bad result among good ones",
      [
        { status: Status.BEGIN, parts: [text("a")] },
        { status: Status.CONTINUE, parts: [text("a", "x")] },
        { status: Status.END, parts: [text("a")] },
      ],
      "outputs are as declared: 'x' is not declared",
    ],
    [
      "an error",
      [{ status: Status.BEGIN, parts: [text("a")] }, new ConnectError("no", Code.Aborted)],
      "answers: Aborted: no",
    ],
  ];
  for (const [what, answers, failure] of broken) {
    test(`finds ${what}`, async () => {
      expect(failuresOf(await stream(...answers)).join()).toBe(failure);
    });
  }
});
