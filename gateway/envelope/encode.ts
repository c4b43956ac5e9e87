import type { Part } from "../../proto/gen/athena/v1/part_pb.ts";
import { memberFromType } from "./data-member.ts";

/** How an attribute's text shows in JSON. */
export type AttributeType = "string" | "number" | "boolean";

/** The declared types of every output's attributes, by the names of output and attribute; a string where undeclared. */
export type OutputTypes = ReadonlyMap<string, ReadonlyMap<string, AttributeType>>;

/** A whole answer. */
export interface Answer {
  readonly sid: string;
  readonly parts: readonly Part[];
}

/**
 * The text of a successful answer. Each part becomes one payload member: its attributes in alphabetical order, as the
 * predecessor had them, then its data under the name of its type. Data whose attribute `format` is `json`, and that is
 * JSON, stands there as it is; other data is standard base64. The payload is left out where there are no parts.
 */
export function encodeAnswer(answer: Answer, types: OutputTypes): string {
  const header = `{"header":{"code":0,"message":"success","sid":${JSON.stringify(answer.sid)}}`;
  return answer.parts.length === 0 ? `${header}}` : `${header},"payload":${textFromParts(answer.parts, types)}}`;
}

/** What the header of a session's frame says. What is undefined is left out. */
export interface FrameHeader {
  readonly sid: string;
  /** 0 begin, 1 continue, 2 end, 3 once. */
  readonly status: number;
  /** Which of the sessions on one connection it belongs to. */
  readonly cid?: string | undefined;
  /** Its number among the frames of its session, from 1. */
  readonly seq?: number | undefined;
  /** The number of the last frame of the caller's that was taken in. */
  readonly ack?: number | undefined;
  /** What takes the session up again on another connection. */
  readonly resumeToken?: string | undefined;
}

/** The text of a session's frame: one result, as in {@link encodeAnswer}, or a word about the session without one. */
export function encodeFrame(header: FrameHeader, parts: readonly Part[], types: OutputTypes): string {
  const start = `{"header":{"code":0,"message":"success",${textFromHeader(header)}}`;
  return parts.length === 0 ? `${start}}` : `${start},"payload":${textFromParts(parts, types)}}`;
}

/** The text of the frame that tells of a session's failure; `code` is the number that clients branch on. */
export function encodeErrorFrame(code: number, message: string, header: FrameHeader): string {
  return `{"header":{"code":${code},"message":${JSON.stringify(message)},${textFromHeader(header)}}}`;
}

function textFromHeader({ sid, status, cid, seq, ack, resumeToken }: FrameHeader): string {
  let text = `"sid":${JSON.stringify(sid)},"status":${status}`;
  if (cid !== undefined) text += `,"cid":${JSON.stringify(cid)}`;
  if (seq !== undefined) text += `,"seq":${seq}`;
  if (ack !== undefined) text += `,"ack":${ack}`;
  if (resumeToken !== undefined) text += `,"resume_token":${JSON.stringify(resumeToken)}`;
  return text;
}

function textFromParts(parts: readonly Part[], types: OutputTypes): string {
  let payload = "";
  for (const part of parts) {
    if (payload !== "") payload += ",";
    payload += `${JSON.stringify(part.name)}:${textFromPart(part, types.get(part.name))}`;
  }
  return `{${payload}}`;
}

/** The text of a failed answer; `code` is the number that clients branch on. */
export function encodeError(code: number, message: string, sid: string): string {
  return `{"header":{"code":${code},"message":${JSON.stringify(message)},"sid":${JSON.stringify(sid)}}}`;
}

function textFromPart(part: Part, types: ReadonlyMap<string, AttributeType> | undefined): string {
  const dataMember = memberFromType(part.type);
  let text = "{";
  for (const name of Object.keys(part.attributes).sort()) {
    // The data takes its name from an attribute that has the same one.
    if (name === dataMember) continue;
    text += `${JSON.stringify(name)}:${textFromAttribute(part.attributes[name] ?? "", typeOf(name, types))},`;
  }
  return `${text}"${dataMember}":${textFromData(part)}}`;
}

function typeOf(name: string, types: ReadonlyMap<string, AttributeType> | undefined): AttributeType {
  return name === "seq" || name === "status" ? "number" : (types?.get(name) ?? "string");
}

/** An attribute that is not what its type says stays the string that it is: the engine's answer is shown, not lost. */
function textFromAttribute(value: string, type: AttributeType): string {
  if (type === "boolean" && (value === "true" || value === "false")) return value;
  if (type === "number" && value.trim() !== "") {
    const number = Number(value);
    if (Number.isFinite(number)) return String(number);
  }
  return JSON.stringify(value);
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function textFromData(part: Part): string {
  const json = part.attributes.format === "json" ? jsonFromBytes(part.data) : undefined;
  return json ?? `"${part.data.toBase64()}"`;
}

/** The bytes as JSON text; undefined where they are none. Parsed only to be sure: the text itself is what is sent. */
function jsonFromBytes(bytes: Uint8Array): string | undefined {
  try {
    const text = strictUtf8.decode(bytes);
    JSON.parse(text);
    return text;
  } catch {
    return undefined;
  }
}
