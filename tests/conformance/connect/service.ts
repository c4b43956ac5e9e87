import type { Message } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  type Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import type {
  ConformanceRequest,
  Header,
  Messages,
  StreamDefinition,
  UnaryDefinition,
  WantedError,
} from "./messages.ts";

type Unary = ConformanceRequest<UnaryDefinition>;
type Stream = ConformanceRequest<StreamDefinition>;
type Fields = Readonly<Record<string, unknown>>;

/** Adds the suite's service, which answers as each request asks it to and tells what it has seen. */
export function addConformanceService(router: ConnectRouter, messages: Messages): void {
  const { make, pack } = messages;

  const answer = async (wanted: UnaryDefinition | undefined, context: HandlerContext, seen: Any[], name: string) => {
    const requestInfo = infoOf(context, seen);
    setMetadata(context, wanted);
    await Bun.sleep(wanted?.responseDelayMs ?? 0);
    if (wanted?.response.case === "error") throw errorFrom(wanted.response.value, messages, requestInfo);
    const data = wanted?.response.case === "responseData" ? wanted.response.value : new Uint8Array();
    return make(name, { payload: { data, requestInfo } });
  };

  async function* answers(wanted: StreamDefinition, context: HandlerContext, seen: Any[], name: string, sent = 0) {
    const infoAt = (index: number): Fields | undefined => (index === 0 ? infoOf(context, seen) : undefined);
    for (const [index, data] of wanted.responseData.entries()) {
      if (index < sent) continue;
      await Bun.sleep(wanted.responseDelayMs);
      yield make(name, { payload: { data, requestInfo: infoAt(index) } });
    }
    const last = Math.max(sent, wanted.responseData.length);
    if (wanted.error !== undefined) throw errorFrom(wanted.error, messages, infoAt(last));
  }

  const implementation = {
    unary: (request: Unary, context: HandlerContext) =>
      answer(request.responseDefinition, context, [pack(request)], "UnaryResponse"),
    idempotentUnary: (request: Unary, context: HandlerContext) =>
      answer(request.responseDefinition, context, [pack(request)], "IdempotentUnaryResponse"),
    async clientStream(requests: AsyncIterable<Unary>, context: HandlerContext) {
      const received = await Array.fromAsync(requests);
      return answer(received[0]?.responseDefinition, context, received.map(pack), "ClientStreamResponse");
    },
    async *serverStream(request: Stream, context: HandlerContext) {
      const wanted = request.responseDefinition;
      setMetadata(context, wanted);
      if (wanted !== undefined) yield* answers(wanted, context, [pack(request)], "ServerStreamResponse");
    },
    async *bidiStream(requests: AsyncIterable<Stream>, context: HandlerContext) {
      const seen: Any[] = [];
      const source = requests[Symbol.asyncIterator]();
      const { value: first }: IteratorResult<Stream, undefined> = await source.next();
      const wanted = first?.responseDefinition;
      setMetadata(context, wanted);
      let sent = 0;
      for (let request = first; request !== undefined; request = (await source.next()).value) {
        seen.push(pack(request));
        if (first?.fullDuplex !== true) continue;
        const data = wanted?.responseData[sent];
        if (data === undefined) break;
        await Bun.sleep(wanted?.responseDelayMs ?? 0);
        const requestInfo = sent === 0 ? infoOf(context, seen) : { requests: seen.slice(-1) };
        yield make("BidiStreamResponse", { payload: { data, requestInfo } });
        sent += 1;
      }
      if (wanted !== undefined) yield* answers(wanted, context, seen, "BidiStreamResponse", sent);
    },
  };
  // The types of its messages are known from their descriptors only.
  router.service(messages.service, implementation as unknown as ServiceImpl<Messages["service"]>);
}

function infoOf(context: HandlerContext, requests: readonly Any[]): Fields {
  const timeoutMs = context.timeoutMs();
  const query = [...new URL(context.url).searchParams].map(([name, value]) => ({ name, value: [value] }));
  return {
    requestHeaders: [...context.requestHeader].map(([name, value]) => ({ name, value: [value] })),
    timeoutMs: timeoutMs === undefined ? undefined : BigInt(timeoutMs),
    requests: [...requests],
    connectGetInfo: context.requestMethod === "GET" ? { queryParams: query } : undefined,
  };
}

interface Metadata {
  readonly responseHeaders: readonly Header[];
  readonly responseTrailers: readonly Header[];
}

function setMetadata(context: HandlerContext, wanted: Metadata | undefined): void {
  append(context.responseHeader, wanted?.responseHeaders);
  append(context.responseTrailer, wanted?.responseTrailers);
}

function append(target: Headers, headers: readonly Header[] = []): void {
  for (const { name, value } of headers) for (const one of value) target.append(name, one);
}

function errorFrom({ message, code, details }: WantedError, { describe, make }: Messages, info?: Fields): ConnectError {
  const error = new ConnectError(message ?? "", code satisfies Code);
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.replace(/^.*\//, ""), value }));
  if (info !== undefined) {
    const name = "ConformancePayload.RequestInfo";
    const value: Message = make(name, info);
    error.details.push({ desc: describe(name), value });
  }
  return error;
}
