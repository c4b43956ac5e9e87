import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { type InferRequest, InferRequestSchema, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Engine } from "../engine/engine.ts";
import { passHeaders } from "./pass-headers.ts";

const never = new AbortController().signal;

test("an engine gets the named members of the header as parameters, under those that the request has", async () => {
  const seen: InferRequest[] = [];
  const engine: Engine = {
    start: async () => undefined,
    async infer(request) {
      seen.push(request);
      return { parts: [], status: Status.ONCE };
    },
    async inferBatch(calls) {
      seen.push(...calls.map(({ request }) => request));
      return [];
    },
    async *stream(request) {
      seen.push(request);
      yield { parts: [], status: Status.END };
    },
    stop: async () => {},
  };
  const passing = passHeaders(engine, ["uid", "app_id", "toString"]);
  const headers = { uid: "7", app_id: "1", mac: "x" };
  const request = create(InferRequestSchema, { headers, parameters: { app_id: "own", mode: "m" } });
  await passing.infer(request, never);
  await passing.inferBatch?.([{ request, signal: never }]);
  for await (const _ of passing.stream(request, (async function* () {})(), never)) break;
  expect(seen.map(({ parameters }) => parameters)).toEqual(
    Array.from({ length: 3 }, () => ({ uid: "7", app_id: "own", mode: "m" })),
  );
  expect(passHeaders(engine, [])).toBe(engine);
});
