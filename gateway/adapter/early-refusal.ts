import type { ServingError } from "../../proto/errors.ts";
import { errorResponse } from "./error-response.ts";
import type { RpcObserver } from "./rpc-record.ts";

/** Answers, in the unified protocol, a request that is refused before any handler sees it, and tells of it. */
export function refuseEarly(
  error: ServingError,
  client: string,
  { observe, newSid }: Pick<RpcObserver, "observe" | "newSid">,
): Response {
  const sid = newSid();
  const response = errorResponse(error, sid, true);
  const { status } = response;
  observe({ sid, service: "", outcome: error.reason, protocol: "http", status, durationMs: 0, client, error });
  return response;
}
