import { cors as connectCors } from "@connectrpc/connect";
import type { CorsConfig } from "../../config/gateway.ts";
import { ServingError } from "../../proto/errors.ts";
import type { Outcomes } from "../telemetry/outcomes.ts";
import type { FetchHandler } from "./listener.ts";
import { createOrigins, type Origins } from "./origins.ts";
import { sidHeader } from "./rpc-refusal.ts";

/** What a page may read of an answer, beside what browsers always show. */
const exposedHeaders = [
  sidHeader,
  "retry-after",
  "inference-header-content-length",
  ...connectCors.exposedHeaders,
].join(", ");

/**
 * Lets the pages of some origins call a handler from a browser: answers their preflights itself, before anybody is asked who
 * calls, and says beside every answer, errors too, that they may read it. Without a configuration the handler stays as it is.
 */
export function allowOrigins(
  handler: FetchHandler,
  config: CorsConfig | undefined,
  { observeLookup }: Pick<Outcomes, "observeLookup">,
): FetchHandler {
  if (config === undefined) return handler;
  const origins = createOrigins(config.origins);
  return async (request, bindings) => {
    const origin = request.headers.get("origin");
    if (origin === null || !isPreflight(request)) return permit(await handler(request, bindings), origin, origins);
    const seen = { protocol: "http", path: "OPTIONS", durationMs: 0, client: bindings.clientAddress } as const;
    if (origins.has(origin)) {
      observeLookup({ ...seen, outcome: "OK", status: 204 });
      return permit(preflightAnswer(request, config), origin, origins);
    }
    const error = new ServingError("PERMISSION_DENIED", "cors.origins does not name the page's origin");
    const { httpStatus: status } = error.class;
    observeLookup({ ...seen, outcome: error.reason, status, error });
    return permit(new Response(`${error.message}\n`, { status }), origin, origins);
  };
}

function isPreflight({ method, headers }: Request): boolean {
  return method === "OPTIONS" && headers.has("access-control-request-method");
}

/**
 * What a page asks to send, it may: the names of keys for balancing and of callers' own metadata are not known here, and any
 * client that is no browser sends what it likes.
 */
function preflightAnswer({ headers: asked }: Request, { maxAgeSeconds }: CorsConfig): Response {
  const headers: Record<string, string> = {
    "access-control-allow-methods": "GET, HEAD, POST",
    "access-control-max-age": String(maxAgeSeconds),
  };
  const names = asked.get("access-control-request-headers");
  if (names) headers["access-control-allow-headers"] = names;
  return new Response(null, { status: 204, headers });
}

function permit(response: Response, origin: string | null, origins: Origins): Response {
  const { headers } = response;
  // Caches must not give one origin's answer to another.
  if (!origins.isEvery) headers.append("vary", "origin");
  if (!origins.isEvery && (origin === null || !origins.has(origin))) return response;
  headers.set("access-control-allow-origin", origins.isEvery ? "*" : (origin ?? ""));
  headers.set("access-control-expose-headers", exposedHeaders);
  return response;
}
