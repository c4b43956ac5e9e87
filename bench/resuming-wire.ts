import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Status } from "../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import { WebSocketRequestSchema, WebSocketResponseSchema } from "../proto/gen/athena/v1/websocket_pb.ts";

/** A frame to a gateway, of a session of the service echo that can be resumed. */
export type OutFrame =
  | {
      readonly kind: "data";
      readonly cid: string | undefined;
      readonly seq: number;
      readonly ack: number;
      readonly text: string;
      readonly isLast: boolean;
    }
  | { readonly kind: "ack"; readonly cid: string | undefined; readonly ack: number }
  | {
      readonly kind: "resume";
      readonly cid: string | undefined;
      readonly ack: number;
      readonly sid: string;
      readonly token: string;
    };

/** A frame of a gateway's. */
export interface InFrame {
  readonly cid: string | undefined;
  /** "" in a frame that does not name its session. */
  readonly sid: string;
  readonly seq: number | undefined;
  readonly ack: number;
  readonly token: string | undefined;
  /** Undefined in a frame without a result. */
  readonly text: string | undefined;
  readonly isLast: boolean;
  /** What is wrong; undefined where nothing is. */
  readonly error: string | undefined;
}

/** How frames are written. */
export interface ResumingWire {
  readonly subprotocol: string;
  encode(frame: OutFrame): string | Uint8Array<ArrayBuffer>;
  decode(data: string | ArrayBuffer): InFrame;
}

/** Envelopes in frames of text. */
export const jsonWire: ResumingWire = {
  subprotocol: "athena.v1.json",
  encode(frame) {
    const { cid, ack } = frame;
    const header = { ...(cid === undefined ? {} : { cid }), ack };
    if (frame.kind === "ack") return JSON.stringify({ header });
    if (frame.kind === "resume") {
      return JSON.stringify({ header: { ...header, sid: frame.sid, resume_token: frame.token } });
    }
    const { seq, text, isLast } = frame;
    const status = isLast ? 2 : seq === 1 ? 0 : 1;
    const payload = { data: { text: Buffer.from(text).toString("base64") } };
    return JSON.stringify({ header: { app_id: "bench", status, seq, ...header }, payload });
  },
  decode(data) {
    const { header, payload } = JSON.parse(String(data));
    const text = payload === undefined ? undefined : Buffer.from(payload.data.text, "base64").toString();
    return {
      cid: header.cid,
      sid: header.sid,
      seq: header.seq,
      ack: header.ack ?? 0,
      token: header.resume_token,
      text,
      isLast: header.status === 2,
      error: header.code === 0 ? undefined : `${header.code} ${header.message}`,
    };
  },
};

/** The same envelopes in binary frames. */
export const binaryJsonWire: ResumingWire = {
  ...jsonWire,
  encode: (frame) => new Uint8Array(Buffer.from(jsonWire.encode(frame))),
};

/** Messages of proto/athena/v1/websocket.proto. */
export const protoWire: ResumingWire = {
  subprotocol: "athena.v1.proto",
  encode: (frame) => toBinary(WebSocketRequestSchema, create(WebSocketRequestSchema, messageFrom(frame))).slice(),
  decode(data) {
    if (typeof data === "string") throw new Error("a frame of text came");
    const { cid, seq, ack, opened, response, error } = fromBinary(WebSocketResponseSchema, new Uint8Array(data));
    return {
      cid: cid === "" ? undefined : cid,
      sid: opened?.sid ?? response?.sid ?? error?.sid ?? "",
      seq: seq === 0 ? undefined : seq,
      ack,
      token: opened?.resumeToken,
      text: response?.parts.map((part) => new TextDecoder().decode(part.data)).join(""),
      isLast: response?.status === Status.END,
      error: error === undefined ? undefined : `${error.legacyCode} ${error.message}`,
    };
  },
};

function messageFrom(frame: OutFrame): MessageInitShape<typeof WebSocketRequestSchema> {
  const common = { cid: frame.cid ?? "", ack: frame.ack };
  if (frame.kind === "ack") return common;
  if (frame.kind === "resume") {
    return { ...common, message: { case: "resume", value: { sid: frame.sid, token: frame.token } } };
  }
  const { seq, isLast: end, text } = frame;
  const parts = [{ name: "data", type: PartType.TEXT, data: new TextEncoder().encode(text) }];
  if (seq > 1) return { ...common, seq, end, message: { case: "input", value: { parts } } };
  return { ...common, seq, end, message: { case: "open", value: { headers: { app_id: "bench" }, parts } } };
}
