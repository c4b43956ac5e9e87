import { expect, test } from "bun:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { createConnectRoutes } from "./connect/routes.ts";
import { listenGrpc } from "./grpc.ts";

test("an engine's failure stays one, though its words are those for bytes that are no message", async () => {
  const options = {
    addServices: (router: Parameters<Parameters<typeof createConnectRoutes>[0]["addServices"]>[0]) =>
      void router.service(InferenceService, {
        infer() {
          throw connectErrorFrom(new ServingError("ENGINE_FAILED", "parse binary: no header"));
        },
      }),
    maxMessageBytes: 1000,
  };
  const grpc = await listenGrpc({ host: "127.0.0.1", port: 0 }, options);
  const answer = createConnectRoutes(options);
  const bindings = { clientAddress: "", holdOpen() {}, idleTimeoutMs: 1000 };
  using http = Bun.serve({ port: 0, fetch: (request) => answer(request, bindings) ?? new Response() });
  const transports = [
    createGrpcTransport({ baseUrl: grpc.url }),
    createConnectTransport({ baseUrl: http.url.origin, httpVersion: "1.1" }),
  ];
  for (const transport of transports) {
    const error = await createClient(InferenceService, transport).infer({}).catch(ConnectError.from);
    expect(error).toMatchObject({ code: Code.Internal, rawMessage: "parse binary: no header" });
  }
  grpc.close();
});
