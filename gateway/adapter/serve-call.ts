import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { ServingError } from "../../proto/errors.ts";
import type { Protocol } from "../telemetry/access-log.ts";
import { contextValuesFrom, type Peer } from "./rpc-call.ts";
import { type RpcObserver, startRecord } from "./rpc-record.ts";
import { refusalFromStatus, sidHeader } from "./rpc-refusal.ts";
import { inputOf } from "./timely-body.ts";

/** A call as a listener has it. */
export interface ReceivedCall extends Omit<UniversalServerRequest, "contextValues"> {
  readonly peer: Omit<Peer, "record">;
}

/** Answers a call by its stock handler, with bounds on its input, and tells of its end where its service does not. */
export async function serveCall(
  handler: UniversalHandler,
  { peer, ...request }: ReceivedCall,
  observer: RpcObserver,
): Promise<UniversalServerResponse> {
  const { clientAddress } = peer;
  const record = startRecord({ method: handler.method, clientAddress, hangUp: request.signal }, observer);
  record.over.addEventListener("abort", () => peer.letGo(), { once: true });
  const body = inputOf(handler, request.body, record.over);
  const answer = await handler({ ...request, body, contextValues: contextValuesFrom({ ...peer, record }) });
  if (record.hasBegun) return answer;
  // The stock handlers have nothing but a status for what is of no protocol of theirs.
  const sid = record.refuse(refusalFromStatus(answer.status), protocolOf(handler, request.header));
  const header = new Headers(answer.header);
  if (sid !== "") header.set(sidHeader, sid);
  return { ...answer, header };
}

/** Tells of a call that reaches no handler; gives the request's id. */
export function refuseCall(
  clientAddress: string,
  error: ServingError,
  protocol: Protocol,
  observer: RpcObserver,
): string {
  const hangUp = new AbortController().signal;
  return startRecord({ method: undefined, clientAddress, hangUp }, observer).refuse(error, protocol);
}

/** The protocol that a call seems to be of, which no handler took. */
function protocolOf({ protocolNames }: UniversalHandler, header: Headers): Protocol {
  if (protocolNames.includes("grpc")) return "grpc";
  return header.get("content-type")?.startsWith("application/grpc") ? "grpc-web" : "connect";
}
