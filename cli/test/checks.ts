import { create } from "@bufbuild/protobuf";
import {
  type InferRequest,
  InferRequestSchema,
  type InferResponse,
  InferStreamRequestSchema,
  Status,
  StreamInputSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { ServiceDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { tensorFromPart } from "../../proto/tensor.ts";
import { type LoaderApi, messageFrom } from "../loader-api.ts";
import { partFrom, type TestValues, textsFrom } from "../test-values.ts";

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly isPassed: boolean;
  /** What was found, in a few words. */
  readonly detail: string;
  /** How long it took, where that says something. */
  readonly durationMs?: number;
}

/** Used where a service sets no limit of its own. */
const defaultTimeoutMs = 60_000;

/** Calls a service once with its test values, and checks the answer. `expected` is asked about an answer that came. */
export async function checkOnce(
  api: Pick<LoaderApi, "inference">,
  definition: ServiceDefinition,
  values: TestValues,
  expected: (parts: readonly Part[]) => readonly Check[],
): Promise<readonly Check[]> {
  const request = requestFrom(definition, values, "3");
  const started = performance.now();
  try {
    const { parts, status } = await api.inference.infer(request, {
      timeoutMs: definition.timeoutMs || defaultTimeoutMs,
    });
    return [
      { name: "answers", isPassed: true, detail: "", durationMs: performance.now() - started },
      ...checkParts(definition, parts),
      check("every output has data", emptyOf(parts)),
      check("status is 3", status === Status.ONCE ? [] : [statusName(status)]),
      ...expected(parts),
    ];
  } catch (thrown) {
    return [{ name: "answers", isPassed: false, detail: messageFrom(thrown), durationMs: performance.now() - started }];
  }
}

/** Opens a session with a service, sends its test values as the one chunk, and checks the results. */
export async function checkStream(
  api: Pick<LoaderApi, "inference">,
  definition: ServiceDefinition,
  values: TestValues,
): Promise<readonly Check[]> {
  const request = requestFrom(definition, values, "2");
  const results: InferResponse[] = [];
  const started = performance.now();
  let firstMs = 0;
  try {
    const timeoutMs = definition.timeoutMs || defaultTimeoutMs;
    for await (const { response } of api.inference.inferStream(messages(request), { timeoutMs })) {
      if (results.length === 0) firstMs = performance.now() - started;
      if (response !== undefined) results.push(response);
    }
  } catch (thrown) {
    return [{ name: "answers", isPassed: false, detail: messageFrom(thrown), durationMs: performance.now() - started }];
  }
  const last = results.at(-1)?.status ?? Status.UNSPECIFIED;
  const isEnd = last === Status.END || last === Status.ONCE;
  // The end of a session may come without any.
  const withParts = results.filter((result) => result.parts.length > 0);
  const withData = results.filter((result) => result.parts.some((part) => part.data.length > 0));
  return [
    { name: "answers", isPassed: true, detail: `results: ${results.length}`, durationMs: performance.now() - started },
    {
      name: "has a result",
      isPassed: withParts.length > 0,
      detail: withParts.length > 0 ? "the first" : "",
      durationMs: firstMs,
    },
    ...mergeChecks(withParts.map((result) => checkParts(definition, result.parts))),
    check("a result has data", withData.length > 0 ? [] : ["none has"]),
    check("the last status is 2 or 3", isEnd ? [] : [statusName(last)]),
  ];
}

function requestFrom(definition: ServiceDefinition, values: TestValues, status: string): InferRequest {
  return create(InferRequestSchema, {
    service: definition.id,
    headers: textsFrom(values.header),
    parameters: textsFrom(values.parameters),
    parts: values.inputs.map((input) => {
      const part = partFrom(input);
      return { ...part, attributes: { ...part.attributes, status } };
    }),
  });
}

async function* messages(request: InferRequest) {
  yield create(InferStreamRequestSchema, { message: { case: "open", value: { ...request, parts: [] } } });
  const input = create(StreamInputSchema, { sequence: 2, parts: request.parts });
  yield create(InferStreamRequestSchema, { message: { case: "input", value: input } });
}

/** What holds for the outputs of every answer and of every result. */
function checkParts(definition: ServiceDefinition, parts: readonly Part[]): readonly Check[] {
  const names = parts.map(({ name }) => name);
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  const sizes = parts.map(({ name, data }) => `${name}: ${data.length} bytes`).join(", ");
  return [
    { name: "has outputs", isPassed: parts.length > 0, detail: sizes },
    check("has each output once", twice),
    check(
      "outputs are as declared",
      parts.flatMap((part) => mistakeOf(definition, part) ?? []),
    ),
  ];
}

/** Passed, or with everything that is wrong. */
function check(name: string, mistakes: readonly string[]): Check {
  return { name, isPassed: mistakes.length === 0, detail: mistakes.join(", ") };
}

function mistakeOf({ outputs }: ServiceDefinition, part: Part): string | undefined {
  const declared = outputs.find(({ name }) => name === part.name);
  if (declared === undefined) return `'${part.name}' is not declared`;
  if (declared.type !== part.type) {
    return `'${part.name}' is ${typeName(part.type)}, declared as ${typeName(declared.type)}`;
  }
  try {
    if (declared.tensor !== undefined) tensorFromPart(part, declared.tensor);
    if (part.attributes.format === "json" && part.data.length > 0) JSON.parse(new TextDecoder().decode(part.data));
    return undefined;
  } catch (error) {
    return `'${part.name}': ${error instanceof Error ? error.message : String(error)}`;
  }
}

function emptyOf(parts: readonly Part[]): readonly string[] {
  return parts.filter(({ data }) => data.length === 0).map(({ name }) => `'${name}' is empty`);
}

/** The checks of many results as one of each name: passed when all are, else the first that is not. */
function mergeChecks(ofResults: readonly (readonly Check[])[]): readonly Check[] {
  const [first = [], ...others] = ofResults;
  return first.map(
    (one, index) => [one, ...others.flatMap((checks) => checks[index] ?? [])].find((c) => !c.isPassed) ?? one,
  );
}

function statusName(status: Status): string {
  return `it is ${Status[status] ?? status}`;
}

function typeName(type: PartType): string {
  return (PartType[type] ?? String(type)).toLowerCase();
}
