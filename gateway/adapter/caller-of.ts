import type { Admission, Caller } from "../admission/admission.ts";
import type { Call } from "../types.ts";

/** Who sends what becomes a session. It is looked at when the session's events are read; until then nobody has seen it fail. */
export async function callerOf(admission: Admission, call: Call): Promise<Caller> {
  return admission(call);
}
