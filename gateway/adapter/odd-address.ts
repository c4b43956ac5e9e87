import { ServingError } from "../../proto/errors.ts";
import { errorResponse } from "./error-response.ts";
import type { HttpBindings } from "./http.ts";
import type { RpcObserver } from "./rpc-record.ts";

/** Refuses a request whose host and path make no URL, on which any handler behind would fail; undefined for every other. */
export function refuseOddAddress(
  request: Request,
  { clientAddress }: Pick<HttpBindings, "clientAddress">,
  { observe, newSid }: Pick<RpcObserver, "observe" | "newSid">,
): Response | undefined {
  if (URL.canParse(request.url)) return undefined;
  const sid = newSid();
  const error = new ServingError("MALFORMED_ENVELOPE", "the header 'host' and the path are no address");
  const response = errorResponse(error, sid, true);
  const seen = { protocol: "http", status: response.status, durationMs: 0, client: clientAddress } as const;
  observe({ sid, service: "", outcome: error.reason, ...seen, error });
  return response;
}
