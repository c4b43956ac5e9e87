import { ConfigError } from "../../config/load.ts";
import type { Logger } from "../../config/logger.ts";
import { isForeignPage } from "../../config/own-origin.ts";
import { errorTable, ServingError } from "../../proto/errors.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { ServiceSet } from "../manifest/service-set.ts";

/** The states of the Open Inference Protocol's model repository. */
const states = {
  [ServiceState.UNSPECIFIED]: "UNKNOWN",
  [ServiceState.LOADING]: "LOADING",
  [ServiceState.READY]: "READY",
  [ServiceState.FAILED]: "UNAVAILABLE",
  [ServiceState.STOPPING]: "UNLOADING",
} as const;

const modelPath = /^\/v2\/repository\/models\/([^/]+)\/(load|unload)$/;

/**
 * Answers the Open Inference Protocol's repository requests: the index, and load (or load anew) and unload of a service
 * while the others serve. They are for operators, so they stand on the admin listener alone. Undefined for other paths.
 */
export async function answerRepository(
  request: Request,
  services: ServiceSet,
  logger: Logger,
): Promise<Response | undefined> {
  const { pathname } = new URL(request.url);
  const isIndex = pathname === "/v2/repository/index";
  const [, encodedId, action] = modelPath.exec(pathname) ?? [];
  if (!isIndex && action === undefined) return undefined;
  if (request.method !== "POST") return failure("expected POST", 405);
  if (isForeignPage(request.headers)) return failure("not for pages of other hosts", 403);
  if (isIndex) return Response.json(indexOf(services));
  try {
    const id = decodeURIComponent(encodedId ?? "");
    await (action === "load" ? services.load(id) : services.unload(id));
    return Response.json({});
  } catch (thrown) {
    if (thrown instanceof URIError) return failure("the service's id is not percent-encoded UTF-8", 400);
    // An operator's own file: every mistake in it is for the one who asked.
    if (thrown instanceof ConfigError) return failure(thrown.message, 400);
    const error = ServingError.from(thrown);
    if (error.reason === "INTERNAL") logger.error({ err: error }, `${action} failed`);
    return failure(error.message, errorTable[error.reason].httpStatus);
  }
}

function indexOf(services: ServiceSet) {
  return [
    ...services.catalog.list().map((served) => {
      const { state, reason } = served.state();
      return { name: served.definition.id, version: served.definition.version, state: states[state], reason };
    }),
    ...services.unloaded().map((name) => ({ name, state: "UNAVAILABLE", reason: "unloaded" })),
  ];
}

function failure(error: string, status: number): Response {
  return Response.json({ error }, { status });
}
