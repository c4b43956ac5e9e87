import type { ServingError } from "../../proto/errors.ts";
import { encodeError } from "../envelope/encode.ts";
import { challenge, httpStatusFromError } from "./status.ts";

/** The HTTP answer to a request that failed, in the unified protocol. `codeMap`: see {@link httpStatusFromError}. */
export function errorResponse(
  error: ServingError,
  sid: string,
  closes: boolean,
  codeMap?: ReadonlyMap<number, number>,
): Response {
  const headers: Record<string, string> = { "content-type": "application/json", "athena-sid": sid };
  if (closes) headers.connection = "close";
  const { retryAfterSeconds } = error;
  if (retryAfterSeconds !== undefined) headers["retry-after"] = String(retryAfterSeconds);
  if (error.reason === "UNAUTHENTICATED") headers["www-authenticate"] = challenge;
  if (error.reason === "METHOD_NOT_ALLOWED") headers.allow = "POST";
  const body = encodeError(error.class.legacyCode, error.message, sid);
  return new Response(body, { status: httpStatusFromError(error, codeMap), headers });
}
