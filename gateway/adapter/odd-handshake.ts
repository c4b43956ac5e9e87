import { ServingError } from "../../proto/errors.ts";
import { refuseEarly } from "./early-refusal.ts";
import type { HttpBindings } from "./http.ts";
import type { RpcObserver } from "./rpc-record.ts";
import { handshakeMistake, isHandshake, webSocketVersion } from "./websocket/handshake.ts";

/** Refuses a request for a WebSocket that cannot become one; undefined for every other. */
export function refuseOddHandshake(
  request: Request,
  { clientAddress }: Pick<HttpBindings, "clientAddress">,
  observer: Pick<RpcObserver, "observe" | "newSid">,
): Response | undefined {
  const mistake = isHandshake(request) ? handshakeMistake(request) : undefined;
  if (mistake === undefined) return undefined;
  const response = refuseEarly(new ServingError("MALFORMED_ENVELOPE", mistake), clientAddress, observer);
  // Tells a client of another version which one to take.
  response.headers.set("sec-websocket-version", webSocketVersion);
  return response;
}
