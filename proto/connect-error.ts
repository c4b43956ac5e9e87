import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { ServingError } from "./errors.ts";
import { ErrorDetailSchema } from "./gen/athena/v1/error_pb.ts";

/** The error as Connect and gRPC clients get it: the table's code, and a detail that names the reason. */
export function connectErrorFrom(thrown: unknown): ConnectError {
  const error = ServingError.from(thrown);
  const { retryAfterSeconds } = error;
  const headers: Record<string, string> =
    retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  const detail = create(ErrorDetailSchema, {
    reason: error.reason,
    legacyCode: error.class.legacyCode,
    engineCode: error.engineCode ?? 0,
  });
  return new ConnectError(
    error.message,
    error.class.code,
    headers,
    [{ desc: ErrorDetailSchema, value: detail }],
    error,
  );
}
