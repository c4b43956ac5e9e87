import { type Context, Hono } from "hono";
import { ServingError } from "../../../proto/errors.ts";
import { type Admission, assertMayCall, createOpenCaller } from "../../admission/admission.ts";
import type { Pipeline } from "../../pipeline.ts";
import type { LookupLogEntry } from "../../telemetry/access-log.ts";
import type { Call } from "../../types.ts";
import { type BodyBounds, readBody, readBytes } from "../body.ts";
import { callFromContext, type Exchange, exchangeFrom, type HttpBindings } from "../http.ts";
import type { StreamForm } from "../session-answer.ts";
import { challenge, httpStatusFromError } from "../status.ts";
import { assertPreflighted } from "./assert-preflighted.ts";
import { acceptedEncodings, decompressed } from "./content-encoding.ts";
import type { RestBody } from "./decode-request.ts";
import type { RestAnswer } from "./encode-answer.ts";
import { answerGenerateStream, type GenerateStreamOptions } from "./generate-stream.ts";
import type { ModelDirectory } from "./models.ts";
import { type Page, pagesOf } from "./pages.ts";
import type { ModelControl } from "./repository.ts";

/** What the REST adapter is built from. */
export interface RestAdapterOptions {
  readonly pipeline: Pipeline<RestBody, RestAnswer>;
  /** The same for `generate`, whose answers are JSON. */
  readonly generate: Pipeline<RestBody, string>;
  readonly streams: GenerateStreamOptions;
  readonly admission: Admission;
  readonly directory: ModelDirectory;
  readonly control: ModelControl;
  readonly maxBodyBytes: number;
  /** Told of every inference when its answer is known. */
  readonly observe: (exchange: Exchange) => void;
  /** Told of every page, likewise. */
  readonly observeLookup: (lookup: LookupLogEntry) => void;
  /** An id for a request that reached no service. */
  readonly newSid: () => string;
  /** While true, the server is not ready, and connections are asked to close after the answer. */
  readonly isDraining: () => boolean;
  readonly now: () => number;
}

type RestContext = Context<{ Bindings: HttpBindings }>;

/** Tells how many bytes of a body are JSON; binary data stands behind them. */
const lengthHeader = "inference-header-content-length";

/** Who asks for a page that is open to all. No page calls a service, so that the priority is of no weight. */
const anybody = createOpenCaller(0);

/** A page's request has little to say. */
const pageBodyBounds = { maxBytes: 65_536, timeoutMs: 10_000 };

/** What Triton has below /v2 and this server has not. */
const unsupportedPath = /^\/v2\/(trace|logging|systemsharedmemory|cudasharedmemory)(\/|$)/;
const supportedPath = /^\/v2(\/?|\/(health|models|repository)(\/.*)?)$/;

/** Tells whether an absolute URL is the protocol's. Others below /v2 may be a service's of the unified protocol. */
export function isRestUrl(url: string): boolean {
  // Without a URL object: this is asked for every request.
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1 || !url.startsWith("/v2", start)) return false;
  const end = url.indexOf("?", start);
  const path = url.slice(start, end === -1 ? undefined : end);
  return supportedPath.test(path) || unsupportedPath.test(path);
}

const inferPath = "/v2/models/:model/infer";
const generatePath = "/v2/models/:model/generate";
const generateStreamPath = "/v2/models/:model/generate_stream";
const inferencePaths: ReadonlySet<string> = new Set([inferPath, generatePath, generateStreamPath]);

/**
 * The Open Inference Protocol over REST, at the URLs of {@link isRestUrl}: inference, and the pages about server and
 * models, which are answered from what the gateway knows.
 */
export function createRestAdapter(options: RestAdapterOptions): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>({ strict: false });
  const headers = (): Headers => headersFrom(options.isDraining());
  const serve = (method: "GET" | "POST", path: string, answer: (context: RestContext) => Promise<Response>): void => {
    for (const variant of variantsOf(path)) {
      app.on(method, variant, answer);
      app.all(variant, (context) => {
        const error = new ServingError("METHOD_NOT_ALLOWED", `use ${method}`);
        return refuse(context, path, error, options, { ...headers(), allow: method });
      });
    }
  };
  serve("POST", inferPath, (context) => infer(context, options, options.pipeline, responseFrom));
  serve("POST", generatePath, (context) => infer(context, options, options.generate, jsonResponse));
  serve("POST", generateStreamPath, (context) => generateStream(context, options));
  for (const page of pagesOf(options)) serve(page.method, page.path, (context) => show(page, context, options));
  app.notFound((context) => {
    const [, extension] = unsupportedPath.exec(context.req.path) ?? [];
    const error =
      extension === undefined
        ? new ServingError("SERVICE_NOT_FOUND", "Not Found")
        : new ServingError("UNSUPPORTED_OPERATION", `the extension '${extension}' is not supported`);
    return refuse(context, "", error, options, headers());
  });
  return app;
}

/** A model's paths may name its version. */
function variantsOf(path: string): readonly string[] {
  const isVersioned = path.startsWith("/v2/models/:model");
  return isVersioned ? [path, path.replace(":model", ":model/versions/:version")] : [path];
}

async function infer<Answer>(
  context: RestContext,
  options: RestAdapterOptions,
  pipeline: Pipeline<RestBody, Answer>,
  respond: (answer: Answer, headers: Headers) => Response,
): Promise<Response> {
  const started = options.now();
  const call = callOf(context);
  let isCut = false;
  const outcome = await pipeline(call, async (timeoutMs) => {
    const onLate = (): void => {
      isCut = true;
    };
    const body = await readRequest(context, { maxBytes: options.maxBodyBytes, timeoutMs, onLate });
    if (timeoutMs >= context.env.idleTimeoutMs) context.env.holdOpen();
    return body;
  });
  context.env.letGo();
  const headers = { ...headersFrom(isCut || options.isDraining()), "athena-sid": outcome.sid };
  const { result } = outcome;
  const response =
    result instanceof ServingError ? failureFrom(result, headers, outcome.codeMap) : respond(result, headers);
  const seen = { protocol: "oip", status: response.status, durationMs: options.now() - started } as const;
  options.observe(exchangeFrom(outcome, { ...seen, client: call.clientAddress }));
  return response;
}

/** The session's end is told by its line. */
function generateStream(context: RestContext, options: RestAdapterOptions): Promise<Response> {
  context.env.holdOpen();
  const readStreamed = (timeoutMs: number): Promise<RestBody> =>
    readRequest(context, { maxBytes: options.maxBodyBytes, timeoutMs, onLate() {} });
  const refusal: StreamForm["refusal"] = (error, { sid, codeMap }) =>
    failureFrom(error, { ...headersFrom(options.isDraining()), "athena-sid": sid }, codeMap);
  return answerGenerateStream(callOf(context), { readBody: readStreamed, ...context.env }, refusal, options.streams);
}

function callOf(context: RestContext): Call {
  return { ...callFromContext(context), serviceId: modelOf(context), version: versionOf(context) };
}

async function readRequest({ req }: RestContext, bounds: BodyBounds): Promise<RestBody> {
  const { raw } = req;
  assertPreflighted(raw.headers);
  const received = await readBytes(raw, bounds);
  const bytes = await decompressed(received, raw.headers.get("content-encoding"), bounds.maxBytes);
  return { received, bytes, headerLength: raw.headers.get(lengthHeader) };
}

/** Refuses what is no page, or not with its method. */
function refuse(
  { env }: RestContext,
  path: string,
  error: ServingError,
  { newSid, observe, observeLookup }: RestAdapterOptions,
  headers: Headers,
): Response {
  const response = failureFrom(error, headers);
  const { status } = response;
  const refused = { protocol: "oip", outcome: error.reason, status, durationMs: 0, client: env.clientAddress } as const;
  if (inferencePaths.has(path)) observe({ sid: newSid(), service: "", ...refused, error });
  else observeLookup({ path, ...refused, error });
  return response;
}

async function show(page: Page, context: RestContext, options: RestAdapterOptions): Promise<Response> {
  const started = options.now();
  let isCut = false;
  const onLate = (): void => {
    isCut = true;
  };
  const tell = (status: number, error?: ServingError): void => {
    const failed = error === undefined ? ({ outcome: "OK" } as const) : { outcome: error.reason, error };
    const seen = { status, durationMs: options.now() - started, client: context.env.clientAddress };
    context.env.letGo();
    options.observeLookup({ protocol: "oip", path: page.path, ...failed, ...seen });
  };
  try {
    const caller = page.isOpen ? anybody : await options.admission(callFromContext(context));
    const model = modelOf(context);
    if (model !== "") assertMayCall(caller, model);
    const { body, status = 200 } = await page.answer({
      model,
      version: versionOf(context),
      caller,
      signal: context.req.raw.signal,
      readBody() {
        assertPreflighted(context.req.raw.headers);
        return readBody(context.req.raw, { ...pageBodyBounds, onLate });
      },
      holdOpen: () => context.env.holdOpen(),
    });
    tell(status);
    return Response.json(body, { status, headers: headersFrom(options.isDraining()) });
  } catch (thrown) {
    const error = ServingError.from(thrown);
    const response = failureFrom(error, headersFrom(isCut || options.isDraining()));
    tell(response.status, error);
    return response;
  }
}

/** What is left of a body that came too late would be kept in memory until its end, so its connection is closed. */
function headersFrom(closes: boolean): Headers {
  return closes ? { connection: "close" } : {};
}

type Headers = Readonly<Record<string, string>>;

function modelOf(context: RestContext): string {
  return context.req.param("model") ?? "";
}

function versionOf(context: RestContext): string {
  return context.req.param("version") ?? "";
}

const utf8 = new TextEncoder();

function jsonResponse(json: string, headers: Headers): Response {
  return new Response(json, { headers: { ...headers, "content-type": "application/json" } });
}

function responseFrom({ json, binary }: RestAnswer, headers: Headers): Response {
  if (binary === undefined) return jsonResponse(json, headers);
  const text = utf8.encode(json);
  const form = { "content-type": "application/octet-stream", [lengthHeader]: String(text.length) };
  return new Response(Buffer.concat([text, ...binary]), { headers: { ...headers, ...form } });
}

function failureFrom(error: ServingError, headers: Headers, codeMap?: ReadonlyMap<number, number>): Response {
  const all: Record<string, string> = { ...headers };
  const { retryAfterSeconds } = error;
  if (retryAfterSeconds !== undefined) all["retry-after"] = String(retryAfterSeconds);
  if (error.reason === "UNAUTHENTICATED") all["www-authenticate"] = challenge;
  if (error.reason === "UNSUPPORTED_MEDIA_TYPE") all["accept-encoding"] = acceptedEncodings;
  return failure(httpStatusFromError(error, codeMap), error.message, all);
}

function failure(status: number, error: string, headers: Headers): Response {
  return Response.json({ error }, { status, headers });
}
