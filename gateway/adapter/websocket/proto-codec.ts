import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ServingError } from "../../../proto/errors.ts";
import {
  type WebSocketRequest,
  WebSocketRequestSchema,
  type WebSocketResponse,
  WebSocketResponseSchema,
} from "../../../proto/gen/athena/v1/websocket_pb.ts";
import { envelopeFromParts, envelopeFromRequest } from "../../envelope/from-message.ts";
import type { SessionFrame } from "../../types.ts";
import type { FrameCodec, FrameTag } from "./frame-codec.ts";

/** The subprotocol whose frames are protobuf messages. */
export const protoSubprotocol = "athena.v1.proto";

/** Messages of proto/athena/v1/websocket.proto in binary frames: data travels as bytes, without base64. */
export const protoCodec: FrameCodec = {
  protocol: "websocket+proto",
  decode(data, service) {
    const message = messageFrom(data);
    const { cid, seq, ack } = message;
    const { case: kind, value } = message.message;
    const isOpening = kind === "open";
    return {
      cid: cid === "" ? undefined : cid,
      frame: kind === "resume" ? undefined : sessionFrameFrom(message, service),
      mayOpen: isOpening,
      mustOpen: isOpening,
      seq: seq === 0 ? undefined : seq,
      ack: ack === 0 ? undefined : ack,
      resume: kind === "resume" ? { sid: value.sid, token: value.token } : undefined,
    };
  },
  result: (_, response, __, tag) => encode(tag, { response }),
  opened: (tag, resumeToken = "") =>
    encode(tag, { opened: { $typeName: "athena.v1.SessionOpened", sid: tag.sid, resumeToken } }),
  acknowledged: (tag) => encode(tag, {}),
  error: ({ reason, message, class: { legacyCode } }, tag) =>
    encode(tag, { error: { $typeName: "athena.v1.SessionError", sid: tag.sid, reason, legacyCode, message } }),
};

function messageFrom(data: string | Buffer): WebSocketRequest {
  if (typeof data === "string") {
    throw new ServingError("MALFORMED_ENVELOPE", `a text frame came: ${protoSubprotocol} has binary frames`);
  }
  try {
    return fromBinary(WebSocketRequestSchema, data);
  } catch (cause) {
    throw new ServingError("MALFORMED_ENVELOPE", "the frame is not an athena.v1.WebSocketRequest", { cause });
  }
}

function sessionFrameFrom({ message, end }: WebSocketRequest, service: string): SessionFrame | undefined {
  const place = end ? 2 : undefined;
  if (message.case === "open") return { envelope: envelopeFromRequest(message.value, service), place };
  if (message.case === "input") return { envelope: envelopeFromParts(message.value.parts), place: place ?? 1 };
  return end ? { envelope: envelopeFromParts([]), place } : undefined;
}

function encode({ cid = "", seq = 0, ack = 0 }: FrameTag, content: Partial<WebSocketResponse>): Uint8Array {
  const message: WebSocketResponse = { $typeName: "athena.v1.WebSocketResponse", cid, seq, ack, ...content };
  return toBinary(WebSocketResponseSchema, message);
}
