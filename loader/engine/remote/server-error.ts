import { type Reason, ServingError, type ServingErrorOptions } from "../../../proto/errors.ts";

/** The most characters of a server's own words that go on to the caller. */
const maxWordsLength = 500;

/** A server's words as one bounded line, without what could not be shown. */
export function boundedWords(text: string): string {
  const line = text
    .slice(0, maxWordsLength * 4)
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim();
  return line.length > maxWordsLength ? `${line.slice(0, maxWordsLength)}...` : line;
}

/** The error of a call that the model server answered with one: what it means to the caller, and the server's own words. */
export function serverError(
  service: string,
  reason: Reason,
  words: string,
  options: ServingErrorOptions = {},
): ServingError {
  const said = boundedWords(words);
  return new ServingError(
    reason,
    said === "" ? meaning(service, reason) : `${meaning(service, reason)}: ${said}`,
    options,
  );
}

function meaning(service: string, reason: Reason): string {
  const server = `the model server of service '${service}'`;
  switch (reason) {
    case "INVALID_INPUT":
      return `${server} refuses the input`;
    case "PAYLOAD_TOO_LARGE":
      return `the input is larger than ${server} takes`;
    case "SERVICE_BUSY":
      return `${server} is busy`;
    case "SERVICE_NOT_READY":
      return `${server} is not ready`;
    case "UNSUPPORTED_OPERATION":
      return `${server} does not support this call`;
    case "DEADLINE_EXCEEDED":
      return `${server} did not answer in time`;
    case "ENGINE_CRASHED":
      return `${server} ended the call`;
    case "OUTPUT_UNEXPECTED":
      return `${server} gave an answer that cannot be used`;
    default:
      return `${server} failed`;
  }
}

/** The error of a server that no connection reached: nothing of the call left. */
export function unreachableError(service: string, cause: unknown): ServingError {
  return new ServingError("SERVICE_NOT_READY", `the model server of service '${service}' cannot be reached`, { cause });
}

/**
 * The error of a connection that broke with the call inside it. The model may have run, and may even have ended with it,
 * so this is never tried elsewhere.
 */
export function brokenError(service: string, cause: unknown): ServingError {
  return new ServingError(
    "ENGINE_CRASHED",
    `the connection to the model server of service '${service}' broke before its answer was complete`,
    { cause },
  );
}

/** The error of an answer that breaks the protocol, or says what the service does not declare. */
export function unusableError(service: string, words: string, cause?: unknown): ServingError {
  return serverError(service, "OUTPUT_UNEXPECTED", words, cause === undefined ? {} : { cause });
}

/** The error of a server that stopped in the middle of an answer. */
export function silentError(service: string, idleTimeoutMs: number): ServingError {
  return new ServingError(
    "DEADLINE_EXCEEDED",
    `the model server of service '${service}' sent nothing for ${idleTimeoutMs} ms`,
  );
}
