import { Code } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";

/** What the stock handlers' word for bytes that are no message begins with. Errors of ours have details, this has none. */
const stockWords = "parse binary: ";

/**
 * The stock handlers call bytes that are no message an internal error. It is the client's mistake: the answer to a unary
 * call over Connect, and the trailers of one over gRPC, say so instead. Any other answer stays as it is.
 */
export async function blameClientForUnreadable(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  const { status, body, trailer } = response;
  if (body == null) return response;
  if (status === 500) return unaryAnswer(response, body);
  return trailer === undefined ? response : { ...response, body: watched(body, trailer) };
}

type Body = NonNullable<UniversalServerResponse["body"]>;

async function unaryAnswer(response: UniversalServerResponse, body: Body): Promise<UniversalServerResponse> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const internal = `{"code":"internal","message":"${stockWords}`;
  if (!text.startsWith(internal) || "details" in JSON.parse(text))
    return { ...response, body: only(Buffer.concat(chunks)) };
  const answer = Buffer.from(text.replace(`"internal"`, `"invalid_argument"`));
  const header = new Headers(response.header);
  header.delete("content-length");
  return { ...response, status: 400, header, body: only(answer) };
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Not a generator: what ends the body must reach it at once, also while its next bytes are awaited. */
function watched(body: Body, trailer: Headers): Body {
  return {
    [Symbol.asyncIterator]() {
      const source = body[Symbol.asyncIterator]();
      return {
        async next() {
          const step = await source.next();
          if (step.done === true) correct(trailer);
          return step;
        },
        ...(source.throw === undefined ? {} : { throw: source.throw.bind(source) }),
        ...(source.return === undefined ? {} : { return: source.return.bind(source) }),
      };
    },
  };
}

function correct(trailer: Headers): void {
  if (trailer.get("grpc-status") !== String(Code.Internal) || trailer.has("grpc-status-details-bin")) return;
  const message = trailer.get("grpc-message") ?? "";
  if (message.startsWith(stockWords) || message.startsWith(encodeURIComponent(stockWords))) {
    trailer.set("grpc-status", String(Code.InvalidArgument));
  }
}
