import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { Envelope, LiftedPart } from "../types.ts";
import { memberFromType, typeFromMember } from "./data-member.ts";
import { isDeeperThan } from "./json-depth.ts";
import { positionOfMistake } from "./json-position.ts";

/** What an envelope may be made of; the size of its text is bounded where it is read. */
export interface EnvelopeLimits {
  /** How deep objects and arrays may nest, the envelope itself included. */
  readonly maxDepth: number;
  /** How many streams the payload may have. */
  readonly maxParts: number;
}

/** Far above what requests need: the predecessor's own nest four deep and have one or two streams. */
export const defaultEnvelopeLimits: EnvelopeLimits = { maxDepth: 32, maxParts: 256 };

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Understands the text of a request of the unified protocol: an object of at most `header`, `parameter` and `payload`,
 * each an object, absent or null. The data of every payload stream is lifted out of the JSON: base64 is decoded, once,
 * and an object or array in place of text is its own JSON text.
 *
 * @throws ServingError MALFORMED_ENVELOPE for text that is not such an envelope, SCHEMA_VIOLATION for data of a type
 * that no service takes. The message says where and repeats nothing of the text but a member's name.
 */
export function decodeEnvelope(body: string, limits: EnvelopeLimits = defaultEnvelopeLimits): Envelope {
  const document = parseJson(body, limits.maxDepth);
  if (!isObject(document)) throw malformed("the request body must be a JSON object");
  for (const key in document) {
    if (key !== "header" && key !== "parameter" && key !== "payload")
      throw malformed(`'$.${shown(key)}' unknown field`);
  }
  return {
    header: sectionOf(document, "header"),
    parameter: sectionOf(document, "parameter"),
    payload: partsFromPayload(sectionOf(document, "payload"), limits.maxParts),
  };
}

function parseJson(body: string, maxDepth: number): unknown {
  if (isDeeperThan(maxDepth, body)) throw malformed(`the request body nests deeper than ${maxDepth} levels`);
  try {
    return JSON.parse(body);
  } catch (error) {
    if (body.trim() === "") throw malformed("the request body is empty", error);
    const { line, column } = positionOfMistake(body);
    throw malformed(`the request body is not valid JSON: line ${line}, column ${column}`, error);
  }
}

const noMembers: JsonObject = Object.freeze({});

function sectionOf(document: JsonObject, name: string): JsonObject {
  const section = document[name];
  if (section === undefined || section === null) return noMembers;
  if (!isObject(section)) throw malformed(`'$.${name}' must be an object`);
  return section;
}

function partsFromPayload(payload: JsonObject, maxParts: number): LiftedPart[] {
  const parts: LiftedPart[] = [];
  for (const name in payload) {
    const stream = payload[name];
    if (stream === null) continue;
    if (!isObject(stream)) throw malformed(`'$.payload.${shown(name)}' must be an object`);
    if (parts.length === maxParts) throw malformed(`'$.payload' has more than ${maxParts} streams`);
    parts.push(partFromStream(name, stream));
  }
  return parts;
}

const noBytes = new Uint8Array(0);

function partFromStream(name: string, stream: JsonObject): LiftedPart {
  const attributes: Record<string, unknown> = {};
  let type = PartType.UNSPECIFIED;
  let data: Uint8Array | undefined;
  for (const key in stream) {
    const value = stream[key];
    const memberType = typeFromMember(key);
    if (memberType === PartType.UNSPECIFIED) {
      // Assigning to this name would change what the object inherits from.
      if (key === "__proto__") throw malformed(`'$.payload.${shown(name)}.__proto__' unknown field`);
      attributes[key] = value;
    } else if (value !== null) {
      if (data !== undefined) {
        const both = `'${memberFromType(type)}' and '${key}'`;
        throw new ServingError(
          "SCHEMA_VIOLATION",
          `'$.payload.${shown(name)}' must hold one kind of data, got ${both}`,
        );
      }
      type = memberType;
      data = bytesFromValue(value, name, memberType);
    } else if (data === undefined) type = memberType;
  }
  return { name, type, data: data ?? noBytes, attributes };
}

const utf8 = new TextEncoder();
// Strict also refuses missing padding; whitespace stays allowed, since MIME encoders break their lines.
const standardBase64 = { alphabet: "base64", lastChunkHandling: "strict" } as const;

function bytesFromValue(value: unknown, name: string, type: PartType): Uint8Array {
  if (typeof value === "string") {
    try {
      return Uint8Array.fromBase64(value, standardBase64);
    } catch (error) {
      throw malformed(`'${pathOfData(name, type)}' must be standard base64`, error);
    }
  }
  if (typeof value === "object" && (type === PartType.TEXT || type === PartType.OTHER)) {
    return utf8.encode(JSON.stringify(value));
  }
  throw new ServingError("SCHEMA_VIOLATION", `'${pathOfData(name, type)}' must be a string in standard base64`);
}

function pathOfData(name: string, type: PartType): string {
  return `$.payload.${shown(name)}.${memberFromType(type)}`;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A name that the caller chose, short enough for a message. */
function shown(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name;
}

function malformed(message: string, cause?: unknown): ServingError {
  return new ServingError("MALFORMED_ENVELOPE", message, cause === undefined ? {} : { cause });
}
