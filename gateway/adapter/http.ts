import { type Context, Hono } from "hono";
import { ServingError } from "../../proto/errors.ts";
import type { Outcome, Pipeline } from "../pipeline.ts";
import type { AccessLogEntry } from "../telemetry/access-log.ts";
import type { Call } from "../types.ts";
import { type BodyBounds, readBody } from "./body.ts";
import { errorResponse } from "./error-response.ts";
import { answerStream, type StreamAnswerOptions, streamKindFrom } from "./stream-answer.ts";

/** What Bun.serve hands to the app beside the request. */
export interface HttpBindings {
  readonly clientAddress: string;
  /** Lets the connection be silent until the answer, however long that takes: the request's deadline bounds it. */
  holdOpen(): void;
  /** Bounds its silence as before, when the answer is known: its client may not read it. */
  letGo(): void;
  /** Ends the connection of a client that reads nothing of its answer, once nothing else is under way on it. */
  cut(): void;
  /** How long it may be silent otherwise, in milliseconds. */
  readonly idleTimeoutMs: number;
}

/** A request that was answered: what the access log and the metrics are told, once. */
export type Exchange = AccessLogEntry;

/** What the HTTP adapter is built from. */
export interface HttpAdapterOptions {
  readonly pipeline: Pipeline<string, string>;
  readonly maxBodyBytes: number;
  /** Told of every request when its answer is known. */
  readonly observe: (exchange: Exchange) => void;
  /** While true, connections are asked to close after the answer. */
  readonly isDraining: () => boolean;
  readonly now: () => number;
  /** For requests that take their results as they come. */
  readonly streams: StreamAnswerOptions;
}

/**
 * The unified protocol over HTTP: POST an envelope to any path that names a service, get an envelope back, or a stream of
 * them where the request's `Accept` says so.
 */
export function createHttpAdapter(options: HttpAdapterOptions): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.all("*", async (context) => {
    const started = options.now();
    const call = callFromContext(context);
    const kind = streamKindFrom(context.req.raw.headers.get("accept"));
    if (kind !== undefined) {
      context.env.holdOpen();
      const readBody = (timeoutMs: number): Promise<string> =>
        readEnvelope(context.req.raw, { maxBytes: options.maxBodyBytes, timeoutMs, onLate() {} });
      return answerStream(kind, call, { readBody, ...context.env }, options.streams);
    }
    let isCut = false;
    const outcome = await options.pipeline(call, async (timeoutMs) => {
      const onLate = (): void => {
        isCut = true;
      };
      const body = await readEnvelope(context.req.raw, { maxBytes: options.maxBodyBytes, timeoutMs, onLate });
      if (timeoutMs >= context.env.idleTimeoutMs) context.env.holdOpen();
      return body;
    });
    context.env.letGo();
    // What is left of a body that came too late would be kept in memory until its end.
    const response = responseFromOutcome(outcome, isCut || options.isDraining());
    const durationMs = options.now() - started;
    const client = call.clientAddress;
    options.observe(exchangeFrom(outcome, { protocol: "http", status: response.status, durationMs, client }));
    return response;
  });
  return app;
}

/** A request as the pipeline is told of it. */
export function callFromContext(context: Context<{ Bindings: HttpBindings }>): Call {
  const request = context.req;
  return {
    method: request.method,
    target: () => targetOf(request.url),
    path: request.path,
    host: hostOf(request.raw.headers).replace(/:\d+$/, ""),
    serviceId: request.query("serviceId") ?? null,
    clientAddress: context.env.clientAddress,
    header: (name) => request.raw.headers.get(name),
    signal: request.raw.signal,
  };
}

/**
 * The host that a request is for, perhaps with its port, as its sender or the proxy before the gateway names it. Where there are
 * several proxies each may add the host that it was asked for: the first is what the sender wanted.
 */
export function hostOf(headers: Headers): string {
  const [forwarded] = headers.get("x-forwarded-host")?.split(",", 1) ?? [];
  return forwarded?.trim() ?? headers.get("host") ?? "";
}

/** What stands behind the host in an absolute URL. */
export function targetOf(url: string): string {
  return url.slice(url.indexOf("/", url.indexOf("://") + 3));
}

async function readEnvelope(request: Request, bounds: BodyBounds): Promise<string> {
  if (request.method !== "POST") {
    throw new ServingError("METHOD_NOT_ALLOWED", `method ${request.method} is not allowed here: use POST`);
  }
  const mediaType = (request.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (mediaType !== "application/json") {
    throw new ServingError("UNSUPPORTED_MEDIA_TYPE", "content-type must be application/json");
  }
  // An encoded body would need a bound on its decoded size as well; clients of the protocol send none.
  if ((request.headers.get("content-encoding") ?? "identity") !== "identity") {
    throw new ServingError("UNSUPPORTED_MEDIA_TYPE", "content-encoding must be identity");
  }
  return readBody(request, bounds);
}

function responseFromOutcome({ sid, result, codeMap }: Outcome<string>, closes: boolean): Response {
  if (typeof result !== "string") return errorResponse(result, sid, closes, codeMap);
  const headers: Record<string, string> = { "content-type": "application/json", "athena-sid": sid };
  if (closes) headers.connection = "close";
  return new Response(result, { headers });
}

/** How a request ended, for the access log and the metrics. */
export function exchangeFrom(
  { sid, service, app, result }: Outcome<unknown>,
  seen: Pick<Exchange, "protocol" | "status" | "durationMs" | "client">,
): Exchange {
  const request = { sid, service, ...(app === "" ? {} : { app }) };
  if (!(result instanceof ServingError)) return { ...request, outcome: "OK", ...seen };
  return { ...request, outcome: result.reason, ...seen, error: result };
}
