import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { ServingError } from "../../proto/errors.ts";
import { type ErrorDetail, ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";

/** Names the request in every answer, errors included. */
export const sidHeader = "athena-sid";

/** Much more than such a message needs; some of them repeat what a caller has sent. */
const maxMessageLength = 512;

/** What the stock handlers say of bytes that are no message or not compressed as they claim, which they take for a fault of their own. */
const unreadable = /^(parse binary: |received compressed envelope|decompression failed)/;

/** Why a call has ended that no service has told of: the stock handlers refused it, or a service did with an error of ours. */
export function refusalFrom(error: ConnectError): ServingError {
  if (error.cause instanceof ServingError) return error.cause;
  const message = error.rawMessage.slice(0, maxMessageLength);
  switch (error.code) {
    case Code.InvalidArgument:
      return new ServingError("MALFORMED_ENVELOPE", message);
    case Code.Internal:
      return unreadable.test(message) ? new ServingError("MALFORMED_ENVELOPE", message) : ServingError.from(error);
    case Code.ResourceExhausted:
      return new ServingError("PAYLOAD_TOO_LARGE", message);
    case Code.Unimplemented:
      return new ServingError("UNSUPPORTED_OPERATION", message);
    case Code.DeadlineExceeded:
      return new ServingError("DEADLINE_EXCEEDED", "the deadline passed before the request was complete");
    case Code.Canceled:
    case Code.Aborted:
      return new ServingError("CANCELED", "the client hung up");
    default:
      return ServingError.from(error);
  }
}

/** A refusal that has a status alone, before anything of the call was looked at. */
export function refusalFromStatus(status: number): ServingError {
  if (status === 405) return new ServingError("METHOD_NOT_ALLOWED", "the HTTP method is not allowed here");
  return status === 415
    ? new ServingError("UNSUPPORTED_MEDIA_TYPE", "the content-type is of no protocol that is spoken here")
    : new ServingError("SERVICE_NOT_FOUND", "there is no such method");
}

/**
 * Makes an error say what every error of ours does: that of a request, with its id, all of it. The stock handlers tell of an
 * error before they write it, so that it is changed where it is.
 */
export function completeError(error: ConnectError, refusal: ServingError, sid: string): void {
  if (error.code === Code.Internal && refusal.reason === "MALFORMED_ENVELOPE") {
    Object.assign(error, { code: Code.InvalidArgument });
  }
  if (sid === "") return;
  error.metadata.set(sidHeader, sid);
  if (error.details.length === 0) error.details.push({ desc: ErrorDetailSchema, value: detailOf(refusal) });
}

function detailOf({ reason, class: { legacyCode } }: ServingError): ErrorDetail {
  return create(ErrorDetailSchema, { reason, legacyCode });
}
