import { type Reason, ServingError } from "../../../proto/errors.ts";
import { brokenError, serverError, unreachableError, unusableError } from "./server-error.ts";

/** One request to a model server. */
export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** Below the server's URL, beginning with "/". */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer> | string;
  /** Aborting it closes the connection at once. */
  readonly signal: AbortSignal;
}

/** An answer with status 200, its body not read yet. */
export interface HttpAnswer {
  readonly headers: Headers;
  /** The whole body. */
  bytes(): Promise<Uint8Array>;
  /** The body as it comes. Leaving the loop early closes the connection. */
  chunks(): AsyncGenerator<Uint8Array>;
}

/** Sends requests to one server. Throws ServingError, and nothing else; also for every status but 200. */
export type HttpClient = (request: HttpRequest) => Promise<HttpAnswer>;

/** What a client is created from. */
export interface HttpClientOptions {
  readonly service: string;
  readonly url: string;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly maxResponseBytes: number;
}

/** An error's body is short text; of a longer one only the beginning is read, in bytes. */
const maxErrorBytes = 16_384;

/**
 * Builds a client of one server. Each request has a connection of its own, at a tenth of a millisecond: a kept one may be
 * closed by the server just when a request leaves on it, and then nobody knows whether the request was run. Redirects are
 * not followed, and compression is not asked for: a small answer may unpack to a large one.
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { service, maxResponseBytes } = options;
  const base = options.url.replace(/\/+$/, "");
  return async ({ method, path, headers, body, signal }) => {
    const response = await orServingError(service, signal, () =>
      fetch(`${base}${path}`, {
        method,
        headers: { ...options.headers, ...headers, "accept-encoding": "identity", connection: "close" },
        ...(body === undefined ? {} : { body }),
        signal,
        keepalive: false,
        redirect: "manual",
        decompress: false,
        // Bun would give up after five minutes of silence; the signal says when to.
        timeout: false,
      }),
    );
    if (response.status !== 200) throw await errorFromResponse(service, response, signal);
    return {
      headers: response.headers,
      bytes: () => joinChunks(chunksOf(service, response, signal, maxResponseBytes)),
      chunks: () => chunksOf(service, response, signal, maxResponseBytes),
    };
  };
}

async function* chunksOf(
  service: string,
  response: Response,
  signal: AbortSignal,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  let bytes = 0;
  const chunks = response.body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await orServingError(service, signal, () => chunks.next());
      if (done === true) return;
      bytes += value.length;
      if (bytes > maxBytes) throw unusableError(service, `it is larger than ${maxBytes} bytes`);
      yield value;
    }
  } finally {
    await chunks.return?.().catch(() => {});
  }
}

async function joinChunks(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}

/** Codes of a connection that did not come about; those of certificates that are not believed beside them. */
const unreachableCodes: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "FailedToOpenSocket",
]);

async function orServingError<Result>(
  service: string,
  signal: AbortSignal,
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (thrown) {
    if (signal.aborted) throw ServingError.from(signal.reason);
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    const isUnreachable = unreachableCodes.has(code) || /CERT|SIGNATURE|ISSUER/.test(String(code));
    throw isUnreachable ? unreachableError(service, thrown) : brokenError(service, thrown);
  }
}

async function errorFromResponse(service: string, response: Response, signal: AbortSignal): Promise<ServingError> {
  const { status } = response;
  if (status >= 200 && status < 400) {
    await response.body?.cancel().catch(() => {});
    return unusableError(service, `status ${status}; redirects are not followed`);
  }
  const words = wordsFromBody(await beginningOf(chunksOf(service, response, signal, Number.POSITIVE_INFINITY), signal));
  const seconds = response.headers.get("retry-after") ?? "";
  const options = /^\d{1,5}$/.test(seconds) ? { retryAfterMs: Number(seconds) * 1000 } : {};
  return serverError(service, reasonFromStatus(status), words, { ...options, cause: { status } });
}

/** The beginning of an error's body. The status is known, so a body that breaks off changes nothing. */
async function beginningOf(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of chunks) {
      text += decoder.decode(chunk.subarray(0, maxErrorBytes), { stream: true });
      if (text.length >= maxErrorBytes) break;
    }
  } catch (error) {
    if (signal.aborted) throw error;
  }
  return text;
}

/**
 * What a status means. A server that answers 503 is there, and says that it did not run this call; whether it takes others
 * is for the probes to find out.
 */
export function reasonFromStatus(status: number): Reason {
  switch (status) {
    case 400:
    case 406:
    case 415:
    case 422:
      return "INVALID_INPUT";
    case 413:
      return "PAYLOAD_TOO_LARGE";
    case 401:
    case 403:
    case 404:
      return "SERVICE_NOT_READY";
    case 408:
    case 504:
      return "DEADLINE_EXCEEDED";
    case 429:
    case 503:
      return "SERVICE_BUSY";
    case 501:
      return "UNSUPPORTED_OPERATION";
    case 502:
      return "ENGINE_CRASHED";
    default:
      return "ENGINE_FAILED";
  }
}

/** What an error's body says: `error`, `error.message`, `detail` or `message` of a JSON object, or a plain text. */
function wordsFromBody(body: string): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return body.trimStart().startsWith("<") ? "" : body;
  }
  return wordsFromJson(parsed) ?? "";
}

/** The words of an error object as servers send it, in an answer or in the middle of a stream; undefined for none. */
export function wordsFromJson(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return undefined;
  for (const key of ["error", "message", "detail"] as const) {
    const member: unknown = Reflect.get(value, key);
    if (member === undefined || member === null) continue;
    return wordsFromJson(member) ?? JSON.stringify(member);
  }
  return undefined;
}
