import type { ServingError } from "../../proto/errors.ts";

/** How long a caller is asked to wait when nothing better is known, in milliseconds. */
const defaultRetryAfterMs = 1000;

/** The value of `WWW-Authenticate` beside 401: every kind of credential that admission takes. */
export const challenge =
  'Bearer realm="athena", hmac realm="athena", algorithm="hmac-sha256", headers="host date request-line digest"';

/** The HTTP status of an error. */
export function httpStatusFromError(error: ServingError): number {
  return error.class.httpStatus;
}

/**
 * The value of `Retry-After`, in whole seconds, for an error after which trying again may help; undefined for the
 * others.
 */
export function retryAfterFromError(error: ServingError): string | undefined {
  if (error.class.retry === "never") return undefined;
  return String(Math.max(1, Math.ceil((error.retryAfterMs ?? defaultRetryAfterMs) / 1000)));
}
