import { ServingError } from "../../proto/errors.ts";

/**
 * The codes with which Bun's fetch says that it got no connection, so that nothing of the request left: observed with
 * closed ports, missing and stale sockets, unknown names, unroutable addresses and certificates that do not fit.
 */
const unconnected: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOENT",
  "ENAMETOOLONG",
  "EACCES",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "EPROTO",
  "ERR_INVALID_URL",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

/**
 * Tells whether a fetch that threw had reached its endpoint. Whatever is not known to have failed before the request
 * left counts as lost on the way, since a lost request may have been run.
 */
export function errorFromFetchFailure(thrown: unknown, service: string): ServingError {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  if (typeof code === "string" && unconnected.has(code)) {
    return new ServingError("ENDPOINT_UNREACHABLE", `service '${service}': no connection to a loader`, {
      cause: thrown,
    });
  }
  return lostError(service, thrown);
}

/** The error of a call that may have reached its loader and brought no answer that can be believed. */
export function lostError(service: string, cause: unknown): ServingError {
  return new ServingError("ENDPOINT_LOST", `service '${service}': the connection to a loader broke before its answer`, {
    cause,
  });
}
