import type { ServingError } from "../../proto/errors.ts";

/** The value of `WWW-Authenticate` beside 401: every kind of credential that admission takes. */
export const challenge =
  'Bearer realm="athena", hmac realm="athena", algorithm="hmac-sha256", headers="host date request-line digest"';

/**
 * The HTTP status of an error. A service may have one of its own for the code of its engine's own, or for the code that
 * callers get; the engine's own is looked at first.
 */
export function httpStatusFromError(error: ServingError, codeMap?: ReadonlyMap<number, number>): number {
  const byEngine = error.engineCode === undefined ? undefined : codeMap?.get(error.engineCode);
  return byEngine ?? codeMap?.get(error.class.legacyCode) ?? error.class.httpStatus;
}

/** The close code of a WebSocket whose session ended as it should. */
export const normalClose = 1000;
/** That of one whose gateway shuts down. */
export const goingAwayClose = 1001;
/** That of one on which nothing was said for too long. */
export const timeoutClose = 4408;
/** That of one whose session goes on on another. */
export const takenOverClose = 4409;

/**
 * The close code of a WebSocket whose session ended with an error: the standard's code where it has one for the case, and
 * 4000 with the HTTP status behind it for the others.
 */
export function closeCodeFromError(error: ServingError): number {
  if (error.reason === "DRAINING") return goingAwayClose;
  const { httpStatus } = error.class;
  return closeCodes.get(httpStatus) ?? 4000 + httpStatus;
}

const closeCodes: ReadonlyMap<number, number> = new Map([
  // Policy violation: a frame that is not allowed.
  [400, 1008],
  [413, 1009],
  // Data of a kind that is not taken.
  [415, 1003],
  // Internal error.
  [500, 1011],
  // Try again later.
  [429, 1013],
  [502, 1013],
  [503, 1013],
  [504, timeoutClose],
]);
