import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { SocketAddress } from "../gateway/client/http-connection.ts";
import type { HttpResponse } from "../gateway/client/http-response.ts";
import { InferRequestSchema, InferResponseSchema } from "../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../proto/gen/athena/v1/part_pb.ts";

/** Which protocol a run speaks. */
export type Protocol = "http-json" | "connect";

/** What every request of a run sends, and how its answer is judged. */
export interface Target {
  readonly address: SocketAddress;
  /** A whole HTTP/1.1 request, ready to be written. */
  readonly request: Uint8Array;
  /** "200" for a right answer, else what is counted: "429 10110", "wrong answer", ... */
  judge(response: HttpResponse): string;
}

/** What {@link createTarget} is told. */
export interface TargetOptions {
  /** An http URL of a loopback address, without a path; ignored where `unix` is given. */
  readonly url: string;
  readonly unix: string | undefined;
  readonly protocol: Protocol;
  readonly service: string;
  /** The name and the type of the input that carries the payload. */
  readonly input: string;
  readonly type: "text" | "image" | "audio" | "video" | "other";
  readonly payload: Uint8Array;
  /** Whether the answer must hold the payload again. */
  readonly expectEcho: boolean;
}

const ok = "200";
const types = {
  text: PartType.TEXT,
  image: PartType.IMAGE,
  audio: PartType.AUDIO,
  video: PartType.VIDEO,
  other: PartType.OTHER,
} as const;

/**
 * Builds the one request that a run repeats. Only this machine is ever loaded.
 *
 * @throws Error for an address that is not loopback.
 */
export function createTarget(options: TargetOptions): Target {
  const address = options.unix === undefined ? loopbackFromUrl(options.url) : { unix: options.unix };
  const json = options.protocol === "http-json";
  const path = json ? `/v1/private/${options.service}` : "/athena.v1.InferenceService/Infer";
  const contentType = json ? "application/json" : "application/proto";
  const body = json ? new TextEncoder().encode(JSON.stringify(envelope(options))) : message(options);
  const head =
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${contentType}\r\n` +
    `content-length: ${body.length}\r\n${json ? "" : "connect-protocol-version: 1\r\n"}\r\n`;
  return {
    address,
    request: Buffer.concat([new TextEncoder().encode(head), body]),
    judge: json ? judgeJson(options) : judgeConnect(options),
  };
}

function loopbackFromUrl(url: string): SocketAddress {
  const { hostname, port, protocol } = new URL(url);
  if (protocol !== "http:") throw new Error(`--url: expected http://, got ${protocol}//`);
  const host = hostname.replace(/^\[|\]$/g, "");
  if (host !== "localhost" && host !== "::1" && !/^127(\.\d{1,3}){3}$/.test(host)) {
    throw new Error(`--url: ${hostname} is not this machine; load is for loopback addresses only`);
  }
  return { hostname: host, port: Number(port || 80) };
}

function envelope({ service, input, type, payload }: TargetOptions): object {
  return {
    header: { app_id: "bench", uid: "39769795890", did: "SR082321940000200", net_type: "wifi", status: 3 },
    parameter: { [service]: {} },
    payload: { [input]: { status: 3, [type]: payload.toBase64() } },
  };
}

function message({ service, input, type, payload }: TargetOptions): Uint8Array {
  return toBinary(
    InferRequestSchema,
    create(InferRequestSchema, {
      service,
      sid: "ase00010001@dx19a0000000000000302",
      headers: { app_id: "bench", uid: "39769795890", did: "SR082321940000200", net_type: "wifi", status: "3" },
      parts: [{ name: input, type: types[type], attributes: { status: "3" }, data: payload }],
    }),
  );
}

function judgeJson({ expectEcho, payload }: TargetOptions): Target["judge"] {
  const wanted = Buffer.from(`"${payload.toBase64()}"`);
  return ({ status, body }) => {
    if (status !== 200)
      return `${status} ${/"code":(\d+)/.exec(Buffer.from(body).toString("latin1"))?.[1] ?? ""}`.trim();
    return !expectEcho || Buffer.from(body.buffer, body.byteOffset, body.length).includes(wanted) ? ok : "wrong answer";
  };
}

function judgeConnect({ expectEcho, payload }: TargetOptions): Target["judge"] {
  return ({ status, body }) => {
    if (status !== 200)
      return `${status} ${/"code":"(\w+)"/.exec(Buffer.from(body).toString("latin1"))?.[1] ?? ""}`.trim();
    if (!expectEcho) return ok;
    const data = fromBinary(InferResponseSchema, body).parts[0]?.data;
    return data !== undefined && Buffer.compare(data, payload) === 0 ? ok : "wrong answer";
  };
}
