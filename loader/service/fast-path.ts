import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";
import { type InferRequest, InferRequestSchema, InferResponseSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { formatLoad, loadHeader } from "../../proto/metadata.ts";
import type { Inference } from "./inference.ts";
import { readBytes } from "./request-bytes.ts";

/** The path of the call that the fast path answers. */
export const inferPath = "/athena.v1.InferenceService/Infer";

/** Whether a request has the one shape that gateways send: Connect unary in protobuf, without compression. */
export function isFast(request: Request): boolean {
  const { headers } = request;
  return (
    headers.get("content-type") === "application/proto" &&
    (headers.get("content-encoding") ?? "identity") === "identity" &&
    request.method === "POST"
  );
}

/**
 * Answers a once-call that {@link isFast} lets through, byte for byte as the stock handler would, at a quarter of its
 * cost (docs/decisions/0002-lean-unary-handler.md).
 */
export async function answerFast(request: Request, inference: Inference, maxBodyBytes: number): Promise<Response> {
  const headers: Record<string, string> = { "content-type": "application/proto" };
  try {
    const message = await readRequest(request, maxBodyBytes);
    const response = await inference.once(message, {
      signal: request.signal,
      timeoutMs: timeoutFromHeader(request.headers.get("connect-timeout-ms")),
      onLoad: (load) => {
        headers[loadHeader] = formatLoad(load);
      },
    });
    return new Response(toBinary(InferResponseSchema, response), { headers });
  } catch (thrown) {
    const error = connectErrorFrom(thrown);
    for (const [name, value] of error.metadata) headers[name] = value;
    headers["content-type"] = "application/json";
    return new Response(new Uint8Array(errorToJsonBytes(error, undefined)), {
      status: codeToHttpStatus(error.code),
      headers,
    });
  }
}

async function readRequest(request: Request, maxBodyBytes: number): Promise<InferRequest> {
  const bytes = await readBytes(request, maxBodyBytes);
  try {
    return fromBinary(InferRequestSchema, bytes);
  } catch (cause) {
    throw new ServingError("MALFORMED_ENVELOPE", "the request is not an InferRequest in protobuf", { cause });
  }
}

/**
 * The time that a Connect call may take, in milliseconds; undefined where its caller sets none.
 *
 * @throws ServingError MALFORMED_ENVELOPE for a header that is no such number.
 */
export function timeoutFromHeader(value: string | null): number | undefined {
  if (value === null) return undefined;
  // At most ten digits, says the protocol.
  if (!/^\d{1,10}$/.test(value)) {
    throw new ServingError("MALFORMED_ENVELOPE", "connect-timeout-ms must be a number of at most ten digits");
  }
  return Math.min(Number(value), 2 ** 31 - 1);
}
