/**
 * The server that the conformance suite starts: the gateway's own listeners with the suite's service on them. It reads what
 * it shall be from its standard input, says where it listens, and ends when that input does. Its argument is the suite's
 * file of descriptors.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { createConnectRoutes } from "../../../gateway/adapter/connect/routes.ts";
import { listenGrpc } from "../../../gateway/adapter/grpc.ts";
import { type Listener, listen } from "../../../gateway/adapter/listener.ts";
import type { RpcObserver } from "../../../gateway/adapter/rpc-record.ts";
import { readMessages, type ServerRequest } from "./messages.ts";
import { addConformanceService } from "./service.ts";

const messages = await readMessages(process.argv[2] ?? "");
const host = "127.0.0.1";
/** The number of gRPC in the suite's list of protocols. */
const grpc = 2;

/** The suite looks at answers alone. */
const observer: RpcObserver = {
  observe() {},
  observeLookup() {},
  sessionObserver: { onFrame() {}, onEnd() {} },
  newSid: () => "",
  now: () => performance.now(),
};

async function listenFor({ protocol, messageReceiveLimit }: ServerRequest): Promise<Listener> {
  const options = {
    addServices: (router: ConnectRouter) => addConformanceService(router, messages),
    maxMessageBytes: messageReceiveLimit === 0 ? 0xffff_ffff : messageReceiveLimit,
    jsonOptions: { registry: messages.registry },
    observer,
  };
  if (protocol === grpc) return listenGrpc({ host, port: 0 }, options);
  const routes = createConnectRoutes(options);
  const notFound = new Response(null, { status: 404 });
  return listen({ host, port: 0 }, (request, bindings) => routes(request, bindings) ?? notFound.clone());
}

/** Messages travel behind their length, four bytes of it. */
async function readRequest(input: AsyncIterable<Uint8Array>): Promise<ServerRequest> {
  let received = Buffer.alloc(0);
  for await (const chunk of input) {
    received = Buffer.concat([received, chunk]);
    if (received.length < 4) continue;
    const end = 4 + received.readUInt32BE(0);
    if (received.length < end) continue;
    const request = fromBinary(messages.describe("ServerCompatRequest"), received.subarray(4, end));
    return request as ServerRequest;
  }
  throw new Error("the suite has not said what it wants");
}

const listener = await listenFor(await readRequest(process.stdin));
const port = Number(new URL(listener.url).port);
const response = toBinary(
  messages.describe("ServerCompatResponse"),
  messages.make("ServerCompatResponse", { host, port }),
);
const length = Buffer.alloc(4);
length.writeUInt32BE(response.length);
process.stdout.write(Buffer.concat([length, response]));
process.stdin.once("end", () => process.exit(0));
process.stdin.resume();
