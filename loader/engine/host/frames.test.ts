import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { FrameError } from "./byte-reader.ts";
import { createFrameParser, encodeFrame, type Frame, frameKind } from "./frames.ts";
import {
  readFailure,
  readRequest,
  readResult,
  readText,
  writeFailure,
  writeRequest,
  writeResult,
  writeText,
} from "./messages.ts";

const part = (name: string, data: Uint8Array, attributes: Record<string, string> = {}): Part => ({
  $typeName: "athena.v1.Part",
  name,
  type: PartType.IMAGE,
  attributes,
  data,
});

const request: InferRequest = {
  $typeName: "athena.v1.InferRequest",
  service: "",
  version: "",
  sid: "ase0001",
  headers: { app_id: "1", ключ: "значение 🦉" },
  parameters: { empty: "" },
  expects: [
    { $typeName: "athena.v1.PartDescription", name: "boxes", type: PartType.TEXT, attributes: { format: "json" } },
  ],
  parts: [part("small", new Uint8Array([0, 255])), part("large", new Uint8Array(200_000).fill(7), { encoding: "jpg" })],
  resourceIds: [1, 4_000_000_000],
  priority: 0,
};

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

function parseInPieces(bytes: Uint8Array, size: number): Frame[] {
  const parser = createFrameParser(1_000_000);
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += size) frames.push(...parser.push(bytes.slice(at, at + size)));
  return frames;
}

describe("frames", () => {
  test("come out as they went in, cut at any place", () => {
    const bytes = joined([
      ...encodeFrame(frameKind.progress, 0, writeText("loading")),
      ...encodeFrame(frameKind.exec, 4_294_967_295, writeRequest(request)),
      ...encodeFrame(frameKind.stop, 0),
    ]);
    for (const size of [1, 2, 3, 5, 9, 64, 4096, 65_536, bytes.length]) {
      const [progress, exec, stop] = parseInPieces(bytes, size);
      expect(readText(progress?.body ?? new Uint8Array())).toBe("loading");
      expect(exec?.callId).toBe(4_294_967_295);
      expect(readRequest(exec?.body ?? new Uint8Array())).toEqual(request);
      expect(stop).toEqual({ kind: frameKind.stop, callId: 0, body: new Uint8Array() });
    }
  });

  test("carry results and failures", () => {
    for (const status of [Status.BEGIN, Status.CONTINUE, Status.END, Status.ONCE]) {
      const result = { status, parts: [part("out", new Uint8Array([1]))] };
      const [frame] = parseInPieces(joined(encodeFrame(frameKind.result, 1, writeResult(result))), 7);
      expect(readResult(frame?.body ?? new Uint8Array())).toEqual(result);
    }
    const error = new ServingError("INVALID_INPUT", "payload.data is not a picture", { engineCode: -7 });
    const [frame] = parseInPieces(joined(encodeFrame(frameKind.failed, 1, writeFailure(error))), 7);
    expect(readFailure(frame?.body ?? new Uint8Array())).toMatchObject({
      reason: "INVALID_INPUT",
      message: "payload.data is not a picture",
      engineCode: -7,
    });
  });

  test("send a large payload from where it is, without a copy", () => {
    const pieces = encodeFrame(frameKind.exec, 1, writeRequest(request));
    expect(pieces.some((piece) => piece === request.parts[1]?.data)).toBe(true);
  });

  test("above the limit, and those too short to be frames, are refused", () => {
    const parser = createFrameParser(100);
    expect(() => parser.push(new Uint8Array([255, 255, 255, 255]))).toThrow(FrameError);
    expect(() => createFrameParser(100).push(new Uint8Array([1, 0, 0, 0]))).toThrow(FrameError);
  });

  test("made of garbage give a FrameError or something readable, never another throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(3), (garbage, kind) => {
        const read = [readRequest, readResult, readFailure, readText][kind] ?? readText;
        try {
          read(garbage);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("round-trip for any request", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    const map = fc.dictionary(
      text.filter((key) => key !== "__proto__"),
      text,
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(map, map, fc.array(fc.tuple(text, map, fc.uint8Array())), (headers, parameters, parts) => {
        const sent = {
          ...request,
          headers,
          parameters,
          parts: parts.map(([name, attributes, data]) => part(name, data, attributes)),
        };
        const [frame] = parseInPieces(joined(encodeFrame(frameKind.exec, 1, writeRequest(sent))), 1000);
        expect(readRequest(frame?.body ?? new Uint8Array())).toEqual(sent);
      }),
      { numRuns: 100 },
    );
  });
});
