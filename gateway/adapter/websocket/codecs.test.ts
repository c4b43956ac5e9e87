import { describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ServingError } from "../../../proto/errors.ts";
import { InferStreamRequestSchema, InferStreamResponseSchema } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../../../proto/gen/athena/v1/service_pb.ts";
import { WebSocketRequestSchema, WebSocketResponseSchema } from "../../../proto/gen/athena/v1/websocket_pb.ts";
import { decodeEnvelope } from "../../envelope/decode.ts";
import { compileService } from "../../schema/compile.ts";
import type { FrameCodec, FrameTag } from "./frame-codec.ts";
import { createJsonCodec } from "./json-codec.ts";
import { protoCodec } from "./proto-codec.ts";

const service = compileService(create(ServiceDefinitionSchema, { id: "echo" }));
const bytes = new Uint8Array([104, 105]);
const part = { name: "data", type: PartType.TEXT, attributes: { seq: "1" }, data: bytes };
const response = create(InferStreamResponseSchema, { response: { sid: "s", parts: [part] } }).response;
const tag: FrameTag = { sid: "s", cid: "c", seq: 4, ack: 2 };
const plainTag: FrameTag = { sid: "s", cid: undefined, seq: undefined, ack: undefined };
const error = new ServingError("SERVICE_BUSY", "busy");

const json = (changes = {}): FrameCodec =>
  createJsonCodec({ decode: (text) => decodeEnvelope(text), isMultiplexed: false, isResumable: false, ...changes });
const read = (codec: FrameCodec, frame: unknown) => codec.decode(JSON.stringify(frame), "echo");
const messageOf = (data: string | Uint8Array) => fromBinary(WebSocketResponseSchema, Buffer.from(data));

describe("JSON frames", () => {
  test("are envelopes, in text or in binary, whose status is their place", () => {
    const text = JSON.stringify({ header: { status: 2 }, payload: { data: { text: "aGk=" } } });
    for (const data of [text, Buffer.from(text)]) {
      const { frame, cid, mayOpen } = json().decode(data, "echo");
      expect(frame).toMatchObject({ place: 2, envelope: { payload: [{ name: "data" }] } });
      expect([cid, mayOpen]).toEqual([undefined, true]);
    }
    expect(() => json().decode(Buffer.from([0xff]), "echo")).toThrow("UTF-8");
    expect(() => json().decode("{", "echo")).toThrow("not valid JSON");
  });

  test("name their session with a cid that no service sees", () => {
    const { cid, frame } = read(json(), { header: { cid: "a", app_id: "1" } });
    expect(cid).toBe("a");
    expect(frame?.envelope.header).toEqual({ app_id: "1" });
    for (const bad of [7, {}, "x".repeat(129)])
      expect(() => read(json(), { header: { cid: bad } })).toThrow("$.header.cid");
    expect(read(json(), { header: { cid: "" } }).cid).toBeUndefined();
  });

  test("that continue a session begin none with multiplexing", () => {
    const codec = json({ isMultiplexed: true });
    const mayOpen = [0, 3, undefined, 1, 2].map((status) => read(codec, { header: { cid: "a", status } }).mayOpen);
    expect(mayOpen).toEqual([true, true, true, false, false]);
  });

  test("are numbered, acknowledge and resume only where that was asked for", () => {
    const codec = json({ isResumable: true });
    expect(read(codec, { header: { app_id: "1", seq: 3, ack: 2 } })).toMatchObject({
      seq: 3,
      ack: 2,
      frame: { envelope: { header: { app_id: "1" } } },
    });
    expect(read(codec, { header: { ack: 2 } })).toMatchObject({ ack: 2, frame: undefined });
    expect(read(codec, { header: { sid: "s", resume_token: "t", ack: 2 } })).toMatchObject({
      resume: { sid: "s", token: "t" },
      frame: undefined,
    });
    expect(() => read(codec, { header: { seq: -1 } })).toThrow("$.header.seq");
    expect(() => read(codec, { header: { resume_token: 1 } })).toThrow("$.header.resume_token");
    expect(read(json(), { header: { seq: 3 } })).toMatchObject({
      seq: undefined,
      frame: { envelope: { header: { seq: 3 } } },
    });
  });

  test("to the client have the predecessor's shape", () => {
    const codec = json();
    const start = '{"header":{"code":0,"message":"success","sid":"s","status":';
    expect(codec.opened(plainTag, undefined)).toBe(`${start}0}}`);
    if (response === undefined) throw new Error("no response");
    expect(codec.result(service, response, 1, plainTag)).toBe(`${start}1},"payload":{"data":{"seq":1,"text":"aGk="}}}`);
    expect(codec.error(error, { ...plainTag, cid: "c" })).toBe(
      '{"header":{"code":10110,"message":"busy","sid":"s","status":0,"cid":"c"}}',
    );
    expect(codec.opened(tag, "t")).toBe(`${start}0,"cid":"c","seq":4,"ack":2,"resume_token":"t"}}`);
    expect(codec.acknowledged({ ...plainTag, ack: 2 })).toBe(`${start}1,"ack":2}}`);
  });
});

describe("protobuf frames", () => {
  const send = (message: Parameters<typeof create<typeof WebSocketRequestSchema>>[1]) =>
    protoCodec.decode(Buffer.from(toBinary(WebSocketRequestSchema, create(WebSocketRequestSchema, message))), "echo");

  test("open a session, carry chunks, and end the input", () => {
    const opening = send({ message: { case: "open", value: { headers: { app_id: "1" }, parts: [part] } } });
    expect(opening).toMatchObject({
      mayOpen: true,
      mustOpen: true,
      frame: { place: undefined, envelope: { header: { app_id: "1" }, isText: true, payload: [{ data: bytes }] } },
    });
    const chunk = send({ cid: "a", seq: 2, ack: 1, message: { case: "input", value: { parts: [part] } } });
    expect(chunk).toMatchObject({ cid: "a", seq: 2, ack: 1, mayOpen: false, frame: { place: 1 } });
    expect(send({ end: true })).toMatchObject({ frame: { place: 2, envelope: { payload: [] } } });
    expect(send({ ack: 3 })).toMatchObject({ ack: 3, frame: undefined });
    expect(send({ message: { case: "resume", value: { sid: "s", token: "t" } } })).toMatchObject({
      resume: { sid: "s", token: "t" },
      frame: undefined,
    });
  });

  test("may be the messages of InferStream, and are so for one who reads them as such", () => {
    const message = create(InferStreamRequestSchema, { message: { case: "input", value: { parts: [part] } } });
    const frame = Buffer.from(toBinary(InferStreamRequestSchema, message));
    expect(protoCodec.decode(frame, "echo").frame?.envelope.payload).toHaveLength(1);
    if (response === undefined) throw new Error("no response");
    const answer = Buffer.from(protoCodec.result(service, response, 1, tag));
    expect(fromBinary(InferStreamResponseSchema, answer).response).toEqual(response);
  });

  test("to the client say what JSON frames do", () => {
    expect(messageOf(protoCodec.opened(tag, "t"))).toMatchObject({
      opened: { sid: "s", resumeToken: "t" },
      cid: "c",
      seq: 4,
      ack: 2,
    });
    expect(messageOf(protoCodec.error(error, plainTag)).error).toMatchObject({
      sid: "s",
      reason: "SERVICE_BUSY",
      legacyCode: 10110,
      message: "busy",
    });
    expect(messageOf(protoCodec.acknowledged({ ...plainTag, ack: 2 }))).toMatchObject({ ack: 2, seq: 0 });
  });

  test("are refused as text, and when they are none", () => {
    expect(() => protoCodec.decode("{}", "echo")).toThrow("binary");
    expect(() => protoCodec.decode(Buffer.from([255]), "echo")).toThrow("WebSocketRequest");
  });
});
