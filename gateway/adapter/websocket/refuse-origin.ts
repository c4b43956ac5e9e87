import { isOwnOrigin } from "../../../config/own-origin.ts";
import { ServingError } from "../../../proto/errors.ts";
import { refuseEarly } from "../early-refusal.ts";
import { hostOf } from "../http.ts";
import type { Origins } from "../origins.ts";
import type { RpcObserver } from "../rpc-record.ts";

/**
 * Refuses to make a WebSocket for a page of an origin that is neither the gateway's own nor allowed; undefined for every other
 * request. Browsers ask nobody before they open one, and let pages of all origins read what comes.
 */
export function refuseOrigin(
  { headers }: Request,
  clientAddress: string,
  origins: Origins,
  observer: Pick<RpcObserver, "observe" | "newSid">,
): Response | undefined {
  const origin = headers.get("origin");
  // What is no browser sends none, or names the host that it calls.
  if (origin === null || origins.has(origin) || isOwnOrigin(origin, hostOf(headers), headers)) return undefined;
  const error = new ServingError(
    "PERMISSION_DENIED",
    `pages of the origin '${origin.slice(0, 128)}' may not open WebSockets here: cors.origins does not name it`,
  );
  return refuseEarly(error, clientAddress, observer);
}
