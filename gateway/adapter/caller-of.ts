import type { Admission, Caller } from "../admission/admission.ts";
import type { Call } from "../types.ts";

/**
 * Who sends what becomes a session. It is looked at when the session's events are read, perhaps much later, behind other
 * requests of a stream; that nobody has seen it fail until then is no failure of the process.
 */
export function callerOf(admission: Admission, call: Call): Promise<Caller> {
  const caller = Promise.try(() => admission(call));
  caller.catch(() => {});
  return caller;
}
