import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ResourceService } from "../../proto/gen/athena/v1/resource_pb.ts";
import type { ResourceBounds, Resources } from "./resources.ts";

/** Adds the service through which personal resources are loaded. */
export function addResources(router: ConnectRouter, resources: Resources): void {
  router.service(ResourceService, {
    loadResource: (request, context) =>
      connectErrors(async () => ({ resourceId: await resources.load(request, boundsFrom(context)) })),
    unloadResource: (request, context) =>
      connectErrors(async () => {
        await resources.unload(request, boundsFrom(context));
        return {};
      }),
    listResources: ({ service }) =>
      connectErrors(async () => ({
        resources: resources.list(service).map(({ id, bytes }) => ({ resourceId: id, bytes: BigInt(bytes) })),
      })),
  });
}

function boundsFrom(context: HandlerContext): ResourceBounds {
  return { signal: context.signal, timeoutMs: context.timeoutMs() };
}

async function connectErrors<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (thrown) {
    throw connectErrorFrom(thrown);
  }
}
