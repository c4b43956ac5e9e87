import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { ErrorDetailSchema } from "../proto/gen/athena/v1/error_pb.ts";
import { InferenceService } from "../proto/gen/athena/v1/inference_pb.ts";
import { CatalogService, type ServiceDefinition, ServiceState } from "../proto/gen/athena/v1/service_pb.ts";
import { CommandFailure } from "./failure.ts";

/** One service of a loader: it serves, or why it does not. */
export interface ServiceStatus {
  readonly id: string;
  readonly isReady: boolean;
  readonly reason: string;
}

/** A loader, called as any Connect client would. Disposing of it closes its connection. */
export interface LoaderApi extends Disposable {
  readonly inference: ReturnType<typeof createClient<typeof InferenceService>>;
  /** The definition that callers are told. */
  describe(id: string): Promise<ServiceDefinition>;
  /** Waits until each service is ready or has failed. Rejects when the signal aborts. */
  untilSettled(signal: AbortSignal): Promise<readonly ServiceStatus[]>;
}

/** How often a loader is asked how far its services are. */
const askIntervalMs = 50;
const askTimeoutMs = 5000;

/** Builds the client of the loader at a URL. */
export function createLoaderApi(url: string): LoaderApi {
  const sessionManager = new Http2SessionManager(url);
  const transport = createConnectTransport({ baseUrl: url, httpVersion: "2", sessionManager });
  const catalog = createClient(CatalogService, transport);
  return {
    inference: createClient(InferenceService, transport),
    async describe(id) {
      const { definition } = await catalog.describeService({ service: id }, { timeoutMs: askTimeoutMs });
      if (definition === undefined) throw new CommandFailure(`the loader does not describe '${id}'`);
      return definition;
    },
    async untilSettled(signal) {
      for (;;) {
        const { services } = await catalog.listServices({}, { signal, timeoutMs: askTimeoutMs });
        if (services.every(({ state }) => state !== ServiceState.LOADING)) {
          return services.map(({ id, state, reason }) => ({ id, isReady: state === ServiceState.READY, reason }));
        }
        await Bun.sleep(askIntervalMs);
      }
    },
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}

/** What went wrong with a call, in a line: the reason of the project's own errors, or the protocol's code. */
export function messageFrom(thrown: unknown): string {
  const error = ConnectError.from(thrown);
  const [detail] = error.findDetails(ErrorDetailSchema);
  return `${detail?.reason ?? Code[error.code]}: ${error.rawMessage}`;
}
