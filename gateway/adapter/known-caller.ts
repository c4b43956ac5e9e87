import type { HandlerContext } from "@connectrpc/connect";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import type { Admission, Caller } from "../admission/admission.ts";
import type { Call } from "../types.ts";
import { callFromRpc } from "./rpc-call.ts";

/** Answers a question that is for apps alone which admission knows. What `make` throws is told as every error is. */
export type Answerer = <Answer>(
  context: HandlerContext,
  make: (caller: Caller, call: Call) => Answer | Promise<Answer>,
) => Promise<Answer>;

/** Builds it. It throws ConnectError. */
export function answererFor(admission: Admission): Answerer {
  return async (context, make) => {
    try {
      const call = callFromRpc(context, "", "");
      return await make(await admission(call), call);
    } catch (thrown) {
      throw connectErrorFrom(thrown);
    }
  };
}
