import { Code } from "@connectrpc/connect";

/**
 * Whether a failed call may be tried again: `never`; `later`, by the caller after a pause; `elsewhere`, at once on
 * another endpoint, because the request was certainly not executed where it failed.
 */
export type Retry = "never" | "later" | "elsewhere";

/** How one reason shows on every wire. */
export interface ErrorClass {
  /** The Connect and gRPC code. */
  readonly code: Code;
  readonly httpStatus: number;
  /** The number that clients of the unified protocol branch on. */
  readonly legacyCode: number;
  readonly retry: Retry;
}

const row = (code: Code, httpStatus: number, legacyCode: number, retry: Retry): ErrorClass => ({
  code,
  httpStatus,
  legacyCode,
  retry,
});

/**
 * Every way in which a request can fail, and the only source of wire codes. Numbers are the predecessor's where it had
 * one for the case; HTTP classes are by whose fault it is, which the predecessor did not tell apart.
 */
export const errorTable = {
  /** The body is not JSON, or its data is not base64. */
  MALFORMED_ENVELOPE: row(Code.InvalidArgument, 400, 10163, "never"),
  /** Well-formed, but not what the service's definition allows. */
  SCHEMA_VIOLATION: row(Code.InvalidArgument, 400, 10163, "never"),
  APP_ID_MISSING: row(Code.InvalidArgument, 400, 10313, "never"),
  /** The header names another app than the credential. */
  APP_ID_MISMATCH: row(Code.PermissionDenied, 403, 10313, "never"),
  /** No credential, or one that does not hold. */
  UNAUTHENTICATED: row(Code.Unauthenticated, 401, 10313, "never"),
  /** The app may not call this service. */
  PERMISSION_DENIED: row(Code.PermissionDenied, 403, 10313, "never"),
  /** The app has used up its share. */
  RATE_LIMITED: row(Code.ResourceExhausted, 429, 10110, "later"),
  /** Who calls, or what is left of a share, cannot be found out now. */
  ADMISSION_UNAVAILABLE: row(Code.Unavailable, 503, 11502, "later"),
  /** The gateway itself has as much under way as it may. */
  GATEWAY_BUSY: row(Code.Unavailable, 503, 10110, "later"),
  UNSUPPORTED_MEDIA_TYPE: row(Code.InvalidArgument, 415, 10163, "never"),
  PAYLOAD_TOO_LARGE: row(Code.ResourceExhausted, 413, 10163, "never"),
  /** The engine understood the request and refuses its data. */
  INVALID_INPUT: row(Code.InvalidArgument, 400, 10009, "never"),
  SERVICE_NOT_FOUND: row(Code.NotFound, 404, 10404, "never"),
  /** A category has no rule for the request's values. */
  CATEGORY_UNMATCHED: row(Code.InvalidArgument, 400, 10404, "never"),
  METHOD_NOT_ALLOWED: row(Code.Unimplemented, 405, 10404, "never"),
  UNSUPPORTED_OPERATION: row(Code.Unimplemented, 501, 10003, "never"),
  /** Every slot is taken and the queue is full, or would outlast the deadline. */
  SERVICE_BUSY: row(Code.ResourceExhausted, 429, 10110, "elsewhere"),
  SERVICE_NOT_READY: row(Code.Unavailable, 503, 10223, "elsewhere"),
  /** The process is shutting down and takes nothing new. */
  DRAINING: row(Code.Unavailable, 503, 10223, "elsewhere"),
  NO_ENDPOINT: row(Code.Unavailable, 503, 10225, "later"),
  /** No connection came about: the request did not leave. */
  ENDPOINT_UNREACHABLE: row(Code.Unavailable, 503, 10221, "elsewhere"),
  /** The connection broke with the request on its way. */
  ENDPOINT_LOST: row(Code.Unavailable, 502, 10222, "elsewhere"),
  DEADLINE_EXCEEDED: row(Code.DeadlineExceeded, 504, 10102, "never"),
  SESSION_TIMEOUT: row(Code.DeadlineExceeded, 504, 10114, "never"),
  SESSION_NOT_FOUND: row(Code.NotFound, 404, 10008, "never"),
  /** A request names a personal resource that is not loaded. */
  RESOURCE_NOT_FOUND: row(Code.NotFound, 404, 10701, "never"),
  /** The caller hung up; 499 is nginx's number for it and stands in logs only. */
  CANCELED: row(Code.Canceled, 499, 10101, "never"),
  /** The user's code answered with an error. */
  ENGINE_FAILED: row(Code.Internal, 500, 10909, "never"),
  /** The user's code ended with the request inside it: sending it elsewhere could end another. */
  ENGINE_CRASHED: row(Code.Internal, 500, 10109, "never"),
  /** The engine answered what the service does not declare. */
  OUTPUT_UNEXPECTED: row(Code.Internal, 500, 10106, "never"),
  INTERNAL: row(Code.Internal, 500, 11502, "never"),
} as const satisfies Record<string, ErrorClass>;

/** A key of {@link errorTable}. */
export type Reason = keyof typeof errorTable;

/** Tells whether text names a row of {@link errorTable}; texts from the wire may not. */
export function isReason(text: string): text is Reason {
  return Object.hasOwn(errorTable, text);
}

/** What {@link ServingError} takes beside its reason and message. */
export interface ServingErrorOptions {
  /** For the log; never sent to a caller. */
  readonly cause?: unknown;
  /** The code that the user's own code gave, where there is one. */
  readonly engineCode?: number;
  /** When trying again may help, for `Retry-After`. */
  readonly retryAfterMs?: number;
}

/**
 * The one error that crosses our modules. `message` is for the caller: it names the field or the service, and never a
 * path, a stack or a peer.
 */
export class ServingError extends Error {
  override readonly name = "ServingError";
  readonly reason: Reason;
  readonly engineCode: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, options: ServingErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.reason = reason;
    this.engineCode = options.engineCode;
    this.retryAfterMs = options.retryAfterMs;
  }

  /**
   * For `Retry-After`: the whole seconds after which trying again may help, a second where nothing better is known;
   * undefined where it never helps.
   */
  get retryAfterSeconds(): number | undefined {
    if (this.class.retry === "never") return undefined;
    return Math.max(1, Math.ceil((this.retryAfterMs ?? 0) / 1000));
  }

  /** The row of this error's reason. */
  get class(): ErrorClass {
    return errorTable[this.reason];
  }

  /** The error itself, or an INTERNAL one that keeps an unknown throw as its cause and hides its text from callers. */
  static from(thrown: unknown): ServingError {
    if (thrown instanceof ServingError) return thrown;
    return new ServingError("INTERNAL", "internal error", { cause: thrown });
  }
}
