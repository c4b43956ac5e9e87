import { create, equals } from "@bufbuild/protobuf";
import { createCallScope } from "../../../proto/call-scope.ts";
import { ServingError } from "../../../proto/errors.ts";
import { ServiceDefinitionSchema } from "../../../proto/gen/athena/v1/service_pb.ts";
import { assertDeclared } from "../assert-declared.ts";
import type { Engine, EngineDescription, EngineHealth } from "../engine.ts";
import { type HeaderSource, resolveHeaders } from "./headers.ts";
import { createHealthWatch, type HealthWatch } from "./health-watch.ts";
import { createOipGrpc, type OipGrpcOptions } from "./oip/grpc.ts";
import { createOipHttp, type OipHttpOptions } from "./oip/http.ts";
import { createOpenai, type OpenaiOptions } from "./openai/chat.ts";
import type { RemoteProtocol, RemoteProtocolOptions } from "./protocol.ts";
import { untilReady } from "./until-ready.ts";

type ProtocolKind =
  | ({ readonly protocol: "oip-http" } & OipHttpOptions)
  | ({ readonly protocol: "oip-grpc" } & OipGrpcOptions)
  | ({ readonly protocol: "openai" } & OpenaiOptions);

/** What a remote engine is created from. */
export type RemoteEngineOptions = Omit<RemoteProtocolOptions, "headers"> &
  ProtocolKind & {
    readonly headers: Readonly<Record<string, HeaderSource>>;
    readonly health: { readonly intervalMs: number; readonly timeoutMs: number; readonly failures: number };
    readonly startTimeoutMs: number;
    readonly onHealth: (health: EngineHealth) => void;
    readonly onProgress: (progress: string) => void;
  };

/** How many calls the engine gives its server at once. */
export function remoteSlots({ concurrency }: { readonly concurrency: number }): number {
  return concurrency;
}

/** Builds the engine that puts its calls to a model server, such as a model container in the same pod. */
export function createRemoteEngine(options: RemoteEngineOptions): Engine {
  const { service, startTimeoutMs, onProgress, onHealth } = options;
  const stopping = new AbortController();
  let protocol: RemoteProtocol | undefined;
  let watch: HealthWatch | undefined;

  const running = (): RemoteProtocol => {
    if (protocol !== undefined && watch !== undefined && !stopping.signal.aborted) return protocol;
    throw new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' does not run`);
  };
  const failed = (thrown: unknown): ServingError => {
    const error = ServingError.from(thrown);
    if (suspicious.has(error.reason)) watch?.suspect();
    return error;
  };

  return {
    async start(signal) {
      using scope = createCallScope(signal, stopping.signal);
      const headers = resolveHeaders(options.headers);
      const server = createProtocol({ ...options, headers });
      protocol = server;
      const told = await untilReady({
        ask: async (asking) => {
          await server.probe(asking);
          return server.describe(asking);
        },
        service,
        startTimeoutMs,
        timeoutMs: options.health.timeoutMs,
        signal: scope.signal,
        onProgress,
      });
      assertDeclared(service, options.declared, told);
      watch = watchServer(server, told, options, onHealth);
      if (stopping.signal.aborted) watch.stop();
      return told;
    },
    async infer(request, signal, timeoutMs) {
      const server = running();
      signal.throwIfAborted();
      using scope = createCallScope(signal, stopping.signal);
      try {
        return await server.infer(request, scope.signal, timeoutMs);
      } catch (error) {
        throw failed(error);
      }
    },
    async *stream(request, inputs, signal, timeoutMs) {
      const server = running();
      signal.throwIfAborted();
      using scope = createCallScope(signal, stopping.signal);
      try {
        yield* server.stream(request, inputs, scope.signal, timeoutMs);
      } catch (error) {
        throw failed(error);
      }
    },
    async stop() {
      stopping.abort(new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' was stopped`));
      watch?.stop();
      protocol?.close();
    },
  };
}

/** Reasons of failed calls after which the server is asked at once whether it is still there. */
const suspicious: ReadonlySet<string> = new Set(["SERVICE_NOT_READY", "SERVICE_BUSY", "ENGINE_CRASHED"]);

function createProtocol(options: ProtocolKind & RemoteProtocolOptions): RemoteProtocol {
  switch (options.protocol) {
    case "oip-http":
      return createOipHttp(options);
    case "oip-grpc":
      return createOipGrpc(options);
    case "openai":
      return createOpenai(options);
  }
}

/** Probes a server; one that was away must have come back with the same model, since callers were told what it is. */
function watchServer(
  server: RemoteProtocol,
  told: EngineDescription,
  { service, health }: RemoteEngineOptions,
  onHealth: (health: EngineHealth) => void,
): HealthWatch {
  let wasAway = false;
  return createHealthWatch({
    ...health,
    random: Math.random,
    async probe(signal) {
      await server.probe(signal);
      if (!wasAway) return;
      const schema = ServiceDefinitionSchema;
      if (equals(schema, create(schema, told), create(schema, await server.describe(signal)))) return;
      const message = `the model of service '${service}' has other inputs or outputs now: load the service anew`;
      throw new ServingError("SERVICE_NOT_READY", message);
    },
    onHealth(state) {
      wasAway = !state.ready;
      onHealth(state);
    },
  });
}
