import { FrameTooLargeError } from "../../proto/connect-frames.ts";
import { ServingError } from "../../proto/errors.ts";
import type { CallSignal } from "./call-signal.ts";
import { NotConnectedError } from "./http-connection.ts";
import { BodyTooLargeError } from "./http-response.ts";

/** What a call that threw is told as. `caller` is the signal of the one who waits, `call` that of the call itself. */
export function errorFromThrown(thrown: unknown, service: string, caller: AbortSignal, call: CallSignal): ServingError {
  if (thrown instanceof ServingError) return thrown;
  if (caller.aborted) return canceledError(service, caller);
  if (call.timedOut) return timeoutError(service);
  if (thrown instanceof BodyTooLargeError || thrown instanceof FrameTooLargeError) {
    return new ServingError("OUTPUT_UNEXPECTED", `service '${service}' gave an answer that is too large`, {
      cause: thrown,
    });
  }
  if (thrown instanceof NotConnectedError) {
    return new ServingError("ENDPOINT_UNREACHABLE", `service '${service}': no connection to a loader`, {
      cause: thrown,
    });
  }
  return lostError(service, thrown);
}

/** The error of a call that may have reached its loader and brought no answer that can be believed. */
export function lostError(service: string, cause: unknown): ServingError {
  return new ServingError("ENDPOINT_LOST", `service '${service}': the connection to a loader broke before its answer`, {
    cause,
  });
}

/** The error of a call that nobody waits for any more: its caller is gone, or says itself that its time is over. */
export function canceledError(service: string, { reason }: AbortSignal): ServingError {
  if (reason instanceof ServingError && reason.reason === "DEADLINE_EXCEEDED") return timeoutError(service);
  return new ServingError("CANCELED", `the call of service '${service}' was canceled`);
}

/** The error of a call whose time is over. */
export function timeoutError(service: string): ServingError {
  return new ServingError("DEADLINE_EXCEEDED", `service '${service}' did not answer in time`);
}
