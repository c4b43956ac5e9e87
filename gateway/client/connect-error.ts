import { fromBinary } from "@bufbuild/protobuf";
import { isReason, type Reason, ServingError, type ServingErrorOptions } from "../../proto/errors.ts";
import { type ErrorDetail, ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { loadHeader, parseLoad } from "../../proto/metadata.ts";

/** The most characters of a loader's message that go on to the caller. */
const maxMessageLength = 1024;

/** What a Connect code means when no detail of ours says more, as from a server that is not a loader of ours. */
const reasonByCode: ReadonlyMap<string, Reason> = new Map([
  ["canceled", "CANCELED"],
  ["invalid_argument", "INVALID_INPUT"],
  ["out_of_range", "INVALID_INPUT"],
  ["deadline_exceeded", "DEADLINE_EXCEEDED"],
  ["not_found", "SERVICE_NOT_FOUND"],
  ["resource_exhausted", "SERVICE_BUSY"],
  ["unimplemented", "UNSUPPORTED_OPERATION"],
  ["unavailable", "SERVICE_NOT_READY"],
]);

/** Reasons that only this process can observe; from a loader they speak of something behind it. */
const observedHere: ReadonlySet<Reason> = new Set(["ENDPOINT_UNREACHABLE", "ENDPOINT_LOST", "NO_ENDPOINT"]);

/** Gives a header's value; the name in lower case. */
export type HeaderReader = (name: string) => string | undefined;

/**
 * Reads the JSON body of a Connect error. The reason is that of its `athena.v1.ErrorDetail`, or else follows from its
 * code; only a message that comes with the detail was written for callers, so any other goes into the cause. Undefined
 * for a body that is no Connect error.
 */
export function errorFromConnect(body: Uint8Array, header: HeaderReader, service: string): ServingError | undefined {
  const parsed = parseObject(body);
  return parsed === undefined ? undefined : errorFromObject(parsed, header, service);
}

/**
 * Reads the last message of a Connect stream: the error that it tells, or undefined when the call ended well.
 *
 * @throws Error for a body that is no such message.
 */
export function errorFromEndOfStream(
  body: Uint8Array,
  header: HeaderReader,
  service: string,
): ServingError | undefined {
  const parsed = parseObject(body);
  if (parsed === undefined) throw new Error("the end of a stream is not a JSON object");
  const { error, metadata } = parsed;
  if (error === undefined || error === null) return undefined;
  const told = isRecord(error) ? errorFromObject(error, trailerReader(metadata, header), service) : undefined;
  if (told === undefined) throw new Error("the end of a stream tells an error without a code");
  return told;
}

/** What came with the error goes before what came with the answer's head. */
function trailerReader(metadata: unknown, header: HeaderReader): HeaderReader {
  if (!isRecord(metadata)) return header;
  const values = new Map(Object.entries(metadata).map(([name, value]) => [name.toLowerCase(), value]));
  return (name) => {
    const value = values.get(name);
    const first: unknown = Array.isArray(value) ? value[0] : undefined;
    return typeof first === "string" ? first : header(name);
  };
}

function errorFromObject(
  parsed: Readonly<Record<string, unknown>>,
  header: HeaderReader,
  service: string,
): ServingError | undefined {
  const { code } = parsed;
  if (typeof code !== "string") return undefined;
  const message = typeof parsed.message === "string" ? parsed.message.slice(0, maxMessageLength) : "";
  const detail = findDetail(parsed.details);
  const reason = reasonFrom(detail, code);
  const options: ServingErrorOptions = {
    cause: { code, message },
    ...(detail !== undefined && detail.engineCode !== 0 ? { engineCode: detail.engineCode } : {}),
    ...retryAfterFrom(header, reason),
  };
  const text =
    detail === undefined || message === "" ? `service '${service}' answered '${code.slice(0, 32)}'` : message;
  return new ServingError(reason, text, options);
}

function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function findDetail(details: unknown): ErrorDetail | undefined {
  if (!Array.isArray(details)) return undefined;
  const entry = details.filter(isRecord).find(({ type }) => type === ErrorDetailSchema.typeName);
  if (typeof entry?.value !== "string") return undefined;
  try {
    return fromBinary(ErrorDetailSchema, Buffer.from(entry.value, "base64"));
  } catch {
    return undefined;
  }
}

function reasonFrom(detail: ErrorDetail | undefined, code: string): Reason {
  const stated = detail?.reason ?? "";
  if (!isReason(stated)) return reasonByCode.get(code) ?? "INTERNAL";
  return observedHere.has(stated) ? "SERVICE_NOT_READY" : stated;
}

/** `Retry-After` in seconds, or for a busy loader the wait that it estimates. */
function retryAfterFrom(header: HeaderReader, reason: Reason): { retryAfterMs?: number } {
  const seconds = header("retry-after");
  if (seconds !== undefined && /^\d{1,6}$/.test(seconds)) return { retryAfterMs: Number(seconds) * 1000 };
  const waitMs = reason === "SERVICE_BUSY" ? parseLoad(header(loadHeader) ?? null)?.waitMs : undefined;
  return waitMs === undefined || waitMs === 0 ? {} : { retryAfterMs: waitMs };
}
