import { ServingError } from "../../proto/errors.ts";
import { refuseEarly } from "./early-refusal.ts";
import type { HttpBindings } from "./http.ts";
import type { RpcObserver } from "./rpc-record.ts";

/** Refuses a request whose host and path make no URL, on which any handler behind would fail; undefined for every other. */
export function refuseOddAddress(
  request: Request,
  { clientAddress }: Pick<HttpBindings, "clientAddress">,
  observer: Pick<RpcObserver, "observe" | "newSid">,
): Response | undefined {
  if (URL.canParse(request.url)) return undefined;
  const error = new ServingError("MALFORMED_ENVELOPE", "the header 'host' and the path are no address");
  return refuseEarly(error, clientAddress, observer);
}
