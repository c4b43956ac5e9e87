import { ServingError } from "../../../proto/errors.ts";
import { encodeErrorFrame, encodeFrame } from "../../envelope/encode.ts";
import type { Envelope, Place } from "../../types.ts";
import type { ClientFrame, FrameCodec } from "./frame-codec.ts";

/** What {@link createJsonCodec} is told. */
export interface JsonCodecOptions {
  /** Reads the text of one envelope. */
  readonly decode: (text: string) => Envelope;
  /** Frames carry `cid`, and one that continues a session never begins one. */
  readonly isMultiplexed: boolean;
  /** Frames carry `seq` and `ack`. */
  readonly isResumable: boolean;
}

const noTypes = new Map<string, never>();
const utf8 = new TextDecoder("utf-8", { fatal: true });
/** The longest name of a session that a client may choose. */
const maxCidLength = 128;

/** The unified protocol: an envelope in each frame, text or binary, and one in each answer, in text. */
export function createJsonCodec({ decode, isMultiplexed, isResumable }: JsonCodecOptions): FrameCodec {
  return {
    protocol: "websocket",
    decode(data) {
      const envelope = decode(typeof data === "string" ? data : textFromBytes(data));
      const { status } = envelope.header;
      const cid = cidOf(envelope.header.cid);
      const resumption = isResumable ? resumptionOf(envelope.header) : undefined;
      const hasContent = resumption?.resume === undefined && !isBareAcknowledgement(envelope, resumption);
      return {
        cid,
        frame: hasContent ? { envelope: withoutOurs(envelope, isResumable), place: placeOf(status) } : undefined,
        mayOpen: !isMultiplexed || (status !== 1 && status !== 2),
        mustOpen: false,
        seq: resumption?.seq,
        ack: resumption?.ack,
        resume: resumption?.resume,
      };
    },
    result: (service, { parts }, status, tag) => encodeFrame({ ...tag, status }, parts, service.outputTypes),
    opened: (tag, resumeToken) => encodeFrame({ ...tag, status: 0, resumeToken }, [], noTypes),
    acknowledged: (tag) => encodeFrame({ ...tag, status: 1 }, [], noTypes),
    error: (error, tag) => encodeErrorFrame(error.class.legacyCode, error.message, { ...tag, status: 0 }),
  };
}

function textFromBytes(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new ServingError("MALFORMED_ENVELOPE", "a binary frame must be JSON in UTF-8 here", { cause });
  }
}

/** What is not a place is left to the service's checks, which say what is wrong with it. */
function placeOf(status: unknown): Place | undefined {
  return status === 0 || status === 1 || status === 2 || status === 3 ? status : undefined;
}

function cidOf(value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string" && value.length <= maxCidLength) return value;
  throw new ServingError("SCHEMA_VIOLATION", `'$.header.cid' must be a string of at most ${maxCidLength} characters`);
}

interface Resumption {
  readonly seq: number | undefined;
  readonly ack: number | undefined;
  readonly resume: ClientFrame["resume"];
}

function resumptionOf(header: Envelope["header"]): Resumption {
  const { sid, resume_token: token } = header;
  const seq = countOf(header.seq, "seq");
  const ack = countOf(header.ack, "ack");
  if (token === undefined || token === null) return { seq, ack, resume: undefined };
  if (typeof token === "string" && typeof sid === "string") return { seq, ack, resume: { sid, token } };
  throw new ServingError("SCHEMA_VIOLATION", "'$.header.sid' and '$.header.resume_token' must be strings");
}

function countOf(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw new ServingError("SCHEMA_VIOLATION", `'$.header.${name}' must be a whole number`);
}

function isBareAcknowledgement({ payload }: Envelope, resumption: Resumption | undefined): boolean {
  return resumption?.ack !== undefined && resumption.seq === undefined && payload.length === 0;
}

/** Without the members that are for the gateway: no service declares them. */
function withoutOurs(envelope: Envelope, isResumable: boolean): Envelope {
  const { header } = envelope;
  if (!("cid" in header) && !isResumable) return envelope;
  const rest: Record<string, unknown> = { ...header };
  delete rest.cid;
  if (isResumable) {
    delete rest.seq;
    delete rest.ack;
  }
  return { ...envelope, header: rest };
}
