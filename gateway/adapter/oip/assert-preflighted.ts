import { isOwnOrigin } from "../../../config/own-origin.ts";
import { ServingError } from "../../../proto/errors.ts";
import { hostOf } from "../http.ts";

/** What a page may send anywhere without being asked; none at all is such a type too. */
const simpleTypes: ReadonlySet<string> = new Set([
  "",
  "text/plain",
  "multipart/form-data",
  "application/x-www-form-urlencoded",
]);

/**
 * Refuses a browser's request that a page of any origin can send without a preflight: it could run a model, or unload one, on a
 * gateway that only its user can reach. Others than browsers, which send no Origin, need no content type.
 *
 * @throws ServingError UNSUPPORTED_MEDIA_TYPE.
 */
export function assertPreflighted(headers: Headers): void {
  const origin = headers.get("origin");
  if (
    origin === null ||
    headers.has("inference-header-content-length") ||
    isOwnOrigin(origin, hostOf(headers), headers)
  )
    return;
  const mediaType = (headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (!simpleTypes.has(mediaType)) return;
  throw new ServingError(
    "UNSUPPORTED_MEDIA_TYPE",
    "content-type must be application/json, or application/octet-stream, in requests of other origins' pages",
  );
}
