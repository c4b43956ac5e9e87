import { ServingError } from "../../proto/errors.ts";
import { errorResponse } from "./error-response.ts";
import type { HttpBindings } from "./http.ts";
import type { RpcObserver } from "./rpc-record.ts";
import { handshakeMistake, isHandshake, webSocketVersion } from "./websocket/handshake.ts";

/** Refuses a request for a WebSocket that cannot become one; undefined for every other. */
export function refuseOddHandshake(
  request: Request,
  { clientAddress }: Pick<HttpBindings, "clientAddress">,
  { observe, newSid }: Pick<RpcObserver, "observe" | "newSid">,
): Response | undefined {
  const mistake = isHandshake(request) ? handshakeMistake(request) : undefined;
  if (mistake === undefined) return undefined;
  const sid = newSid();
  const error = new ServingError("MALFORMED_ENVELOPE", mistake);
  const response = errorResponse(error, sid, true);
  // Tells a client of another version which one to take.
  response.headers.set("sec-websocket-version", webSocketVersion);
  const seen = { protocol: "http", status: response.status, durationMs: 0, client: clientAddress } as const;
  observe({ sid, service: "", outcome: error.reason, ...seen, error });
  return response;
}
